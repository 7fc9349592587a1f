--- A time in seconds since 1970 as headers have it, whatever the locale: RFC 9110, 5.6.7.
local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS =
  { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

return function(seconds)
  local t = os.date("!*t", math.floor(seconds))
  return ("%s, %02d %s %d %02d:%02d:%02d GMT"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year,
    t.hour, t.min, t.sec)
end
