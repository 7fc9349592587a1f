--- Bodies of several parts: the same parts in one piece and in many, and none with bytes that the
--- body has not got.
local multipart = require "moontide.http.multipart"

local function fail(status, why)
  error({ status = status, why = why }, 0)
end

--- The parts, and why there are no more; how much of the last one has come depends on the pieces.
local function read(text, size)
  local at, found, length = 1, {}, 0
  local reader = multipart.new("B", function()
    local piece = text:sub(at, at + size - 1)
    at = at + size
    return piece ~= "" and piece or nil
  end, fail, 100)
  local ok, err = pcall(function()
    for head in function() return reader:head() end do
      local pieces = {}
      for name, value in head:each() do
        pieces[#pieces + 1] = name .. ":" .. value
      end
      for piece in function() return reader:piece() end do
        pieces[#pieces + 1] = piece
        length = length + #piece
        assert(piece ~= "", "an empty piece")
      end
      found[#found + 1] = table.concat(pieces)
    end
  end)
  assert(ok or type(err) == "table", err)
  assert(length <= #text)
  found[#found + 1] = ok and "whole" or tostring(err.status)
  return table.concat(found, "|")
end

return function(data)
  local whole = read(data, #data + 1)
  for _, size in ipairs({ 1, 2, 5, 20 }) do
    local pieces = read(data, size)
    assert(pieces == whole, ("in pieces of %d: %q\nas a whole: %q"):format(size, pieces, whole))
  end
end
