--- Requests: the parser takes the same for one in one piece and in many, and what a second reading
--- of RFC 9112 takes.
package.path = "./?.lua;" .. package.path

local llhttp = require "moontide.llhttp_core"
local messages = require "spec.support.messages"
local model = require "spec.support.request_model"
local requests = require "spec.support.requests"

local function read(text, size)
  return messages.read(llhttp.parser(requests.LIMIT), text, size)
end

return function(data)
  local whole = read(data, #data + 1)
  local told = table.concat(whole, "\n")
  for _, size in ipairs({ 1, 2, 3, 7, 50 }) do
    local pieces = table.concat(read(data, size), "\n")
    assert(pieces == told, ("in pieces of %d: %s\nas a whole: %s"):format(size, pieces, told))
  end
  local ours = table.concat(messages.complete(whole), "\n")
  local expected = table.concat(model.messages(data, requests.LIMIT), "\n")
  assert(ours == expected, ("the parser: %s\nthe second reading: %s"):format(ours, expected))
end
