--- lua-cjson, loaded when it is first needed.
local M = {}

local codec

local function load_codec()
  if not codec then
    local found, cjson = pcall(require, "cjson")
    if not found then
      error("JSON is not available: it needs lua-cjson (Debian: lua-cjson; luarocks: lua-cjson)\n"
        .. cjson, 0)
    end
    codec = cjson.new()
  end
  return codec
end

function M.encode(value)
  return load_codec().encode(value)
end

--- The value, or nil and what is wrong with the text.
function M.decode(text)
  local ok, value = pcall(load_codec().decode, text)
  if ok then
    return value
  end
  return nil, value
end

return M
