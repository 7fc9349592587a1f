--- Times in seconds since 1970 as headers have them, whatever the locale: RFC 9110, 5.6.7.
local M = {}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS =
  { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local numbers = {} -- of months
for number, name in ipairs(MONTHS) do
  numbers[name] = number
end

function M.format(seconds)
  local t = os.date("!*t", math.floor(seconds))
  return ("%s, %02d %s %d %02d:%02d:%02d GMT"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year,
    t.hour, t.min, t.sec)
end

--- Days since 1970 of a date; months are counted from March, so that a leap day comes last.
local function days_of(year, month, day)
  local m = (month + 9) % 12
  local y = year - m // 10
  return 365 * y + y // 4 - y // 100 + y // 400 + (m * 306 + 5) // 10 + day - 719469
end

--- A year of two digits is one of the last fifty or the next ones.
local function full_year(year)
  if #year == 4 then
    return tonumber(year)
  end
  local now = os.date("!*t").year
  local guess = now - now % 100 + tonumber(year)
  return guess > now + 50 and guess - 100 or guess
end

-- What has been a date: today's form, RFC 850's, and asctime's.
local FORMS = {
  { "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$", 1, 2, 3, 4 },
  { "^%a+, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$", 1, 2, 3, 4 },
  { "^%a%a%a (%a%a%a) ([ %d]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$", 2, 1, 6, 3 },
}

--- The seconds since midnight; nil where there is no such time. A minute may have a second more.
local function seconds_of(hour, minute, second)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if hour < 24 and minute < 60 and second <= 60 then
    return hour * 3600 + minute * 60 + second
  end
end

--- The time, or nil for what is no date.
---@param text string
---@return integer?
function M.parse(text)
  for _, form in ipairs(FORMS) do
    local found = table.pack(text:match(form[1]))
    local day, month, year = tonumber(found[form[2]]), numbers[found[form[3]]], found[form[4]]
    local seconds = month and seconds_of(table.unpack(found, form[5], form[5] + 2))
    if seconds and day >= 1 and day <= 31 then
      return days_of(full_year(year), month, day) * 86400 + seconds
    end
  end
end

return M
