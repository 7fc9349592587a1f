--- What a parser of llhttp_core makes of a text, in words: see spec.support.requests.
local M = {}

local function told(head, body)
  local parts = { head[1], " ", head[2] }
  parts[#parts + 1] = head[4] == 0 and " 1.0" or nil
  parts[#parts + 1] = not head[6] and " close" or nil
  parts[#parts + 1] = head[7] and " expects" or nil
  parts[#parts + 1] = head[8] and " upgrade" or nil
  parts[#parts + 1] = body ~= "" and (' "%s"'):format(body) or nil
  return table.concat(parts)
end

--- Some of a body; how that ended; and what is told of it.
local function read_body(parser, next_piece)
  local pieces = {}
  while true do
    local data, status = parser:body()
    if type(data) == "string" then
      pieces[#pieces + 1] = data
    elseif data == true then
      local trailers = parser:trailers() or ""
      trailers = trailers:gsub("\r\n$", ""):gsub("\r\n", "|")
      return table.concat(pieces), trailers ~= "" and (" [%s]"):format(trailers) or ""
    elseif data == false then
      return table.concat(pieces), " " .. status, true
    elseif not next_piece() then
      return table.concat(pieces), "...", true
    end
  end
end

--- What is told of all messages in the pieces of a text.
---@param parser userdata
---@param text string
---@param size integer bytes that it is fed at a time
---@return string[] what is told of each message
function M.read(parser, text, size)
  local at, messages = 1, {}
  local function next_piece()
    if at > #text then
      return false
    end
    parser:feed(text:sub(at, at + size - 1))
    at = at + size
    return true
  end
  local is_over = false
  while not is_over and (parser:buffered() > 0 or at <= #text) do
    local head = table.pack(parser:head())
    if head[1] == false then
      messages[#messages + 1], is_over = tostring(head[2]), true
    elseif head[1] then
      local body, rest, ended = read_body(parser, next_piece)
      messages[#messages + 1], is_over = told(head, body) .. rest, ended
    elseif not next_piece() then
      messages[#messages + 1], is_over = "...", true
    end
  end
  if #messages == 0 and #text > 0 then
    messages[1] = "..."
  end
  return messages
end

--- Those that are complete.
---@param list string[]
---@return string[]
function M.complete(list)
  local last = list[#list]
  if last and (last:find("%.%.%.$") or last:find("^%d%d%d$") or last:find(" %d%d%d$")) then
    return table.move(list, 1, #list - 1, 1, {})
  end
  return list
end

return M
