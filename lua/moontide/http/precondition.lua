--- What a request says about what its client has: RFC 9110, 13.
local date = require "moontide.http.date"

local M = {}

--- What a client is asked about: its tag, and the time of its last change, in whole seconds.
---@class moontide.http.Validators
---@field tag string
---@field modified integer

--- Whether a list of tags has one, or is "*". Weak ones are as good as strong ones only where
--- that is asked for. What is no tag ends the list.
local function has_tag(list, tag, weak)
  if list:match("^[ \t]*(.-)[ \t]*$") == "*" then
    return true
  end
  local at = 1
  while true do
    local prefix, found, next = list:match('^[ \t,]*(W?/?)("[\33\35-\126\128-\255]*")()', at)
    if not found then
      return false
    elseif found == tag and (prefix == "" or weak) then
      return true
    end
    at = next
  end
end

--- Whether it has not been changed since a date; nil where there is no date.
local function is_unchanged(text, validators)
  local since = text and date.parse(text)
  return since and validators.modified <= since
end

local function is_stale(headers, validators)
  local tags = headers:get("if-match")
  if tags then
    return not has_tag(tags, validators.tag, false)
  end
  return is_unchanged(headers:get("if-unmodified-since"), validators) == false
end

local function is_known(headers, validators)
  local tags = headers:get("if-none-match")
  if tags then
    return has_tag(tags, validators.tag, true)
  end
  return is_unchanged(headers:get("if-modified-since"), validators)
end

--- The status that answers a GET or HEAD without more: 412, 304, or nil where it goes on. In the
--- order of 13.2.2.
---@param headers moontide.http.Headers
---@param validators moontide.http.Validators
---@return integer?
function M.status(headers, validators)
  if is_stale(headers, validators) then
    return 412
  end
  return is_known(headers, validators) and 304 or nil
end

--- Whether a range may be sent: the client has the rest of just this. A date tells that only of
--- what has not been changed in its second: 13.1.5.
---@param headers moontide.http.Headers
---@param validators moontide.http.Validators
---@return boolean
function M.allows_range(headers, validators)
  local given = headers:get("if-range")
  if not given or given == validators.tag then
    return true
  end
  return date.parse(given) == validators.modified and validators.modified < os.time() - 1
end

return M
