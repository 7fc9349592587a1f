--- Which proxy a request goes through, by the environment, as curl and others read that.
local M = {}

local getenv = os.getenv

--- What the variable says, in one spelling or the other.
local function variable(name, other)
  local value = getenv(name)
  if not value or value == "" then
    value = getenv(other)
  end
  return value ~= "" and value or nil
end

local function matches(pattern, host, port)
  local name, of_port = pattern:match("^([^:]*):(%d+)$")
  name = (name or pattern):gsub("^%*?%.", ""):lower()
  if of_port and of_port ~= port then
    return false
  end
  return host == name or host:sub(-#name - 1) == "." .. name
end

--- Whether the list of hosts, "a.example, .b.example:8080", has the host; "*" has all.
function M.is_excluded(list, host, port)
  host = host:gsub("^%[(.*)%]$", "%1")
  for pattern in list:gmatch("[^%s,]+") do
    if pattern == "*" or matches(pattern, host, port) then
      return true
    end
  end
  return false
end

--- The URL of the proxy for a URL's parts, or nil. A server of CGI has the header `Proxy` of its
--- clients as HTTP_PROXY, so that one is not asked.
function M.find(url)
  local found
  if url.scheme == "https" then
    found = variable("https_proxy", "HTTPS_PROXY")
  else
    found = getenv("http_proxy")
  end
  found = found and found ~= "" and found or variable("all_proxy", "ALL_PROXY")
  local excluded = found and variable("no_proxy", "NO_PROXY")
  if excluded and M.is_excluded(excluded, url.host, url.port) then
    return nil
  end
  return found
end

return M
