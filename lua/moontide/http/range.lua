--- Ranges of bytes: RFC 9110, 14.

--- The first and the last byte that are asked for; false where there are none such; nil where all
--- are to be sent, as for what is no range, or several at once.
---@param text string of the header Range
---@param size integer
---@return integer|false|nil, integer?
return function(text, size)
  local first, last = text:match("^[bB][yY][tT][eE][sS]=[ \t]*(%d*)%-(%d*)[ \t]*$")
  if not first or first == "" and last == "" or #first > 15 or #last > 15 then
    return nil
  end
  first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last))
  if not first then
    if last == 0 or size == 0 then
      return false
    end
    return math.max(size - last, 0), size - 1
  elseif last and last < first then
    return nil
  elseif first >= size then
    return false
  end
  return first, math.min(last or size - 1, size - 1)
end
