-- Checks the links of a site: follows those that stay on it, and asks once for each of the others.
--
--   moontide examples/links.lua URL [MS]
--   moontide examples/links.lua demo        a site of its own
--
-- At most LIMIT requests are under way at a time; none takes longer than PATIENCE, and all together
-- not longer than MS. What that cuts off is not reported.
local http = require "moontide.http"
local tide = require "moontide"
local await = tide.await

local LIMIT, PATIENCE, LONGEST = 8, 5000, 1 << 20

---- addresses ----

--- `a/./b/../c` is `a/c`.
local function without_dots(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then table.remove(parts) elseif part ~= "." then parts[#parts + 1] = part end
  end
  local last = (path:find("/%.?%.?$") and #parts > 0) and "/" or ""
  return "/" .. table.concat(parts, "/") .. last
end

--- What a link in a page leads to, without its fragment; nil where that is not HTTP.
--- Source: RFC 3986, 5.2.
local function resolve(base, link)
  link = link:gsub("#.*$", ""):gsub("^%s+", ""):gsub("%s+$", "")
  local scheme, rest = link:match("^(%a[%w+.-]*):(.*)$")
  if scheme then
    return (scheme:lower() == "http" or scheme:lower() == "https") and scheme .. ":" .. rest or nil
  end
  local origin, path, query = base:match("^(%a+://[^/?]+)([^?]*)(.*)$")
  if path == "" then path = "/" end
  if link == "" then return origin .. path .. query end
  if link:find("^//") then return origin:match("^%a+:") .. link end
  if link:find("^%?") then return origin .. path .. link end
  local target, rest_query = link:match("^([^?]*)(.*)$")
  if not target:find("^/") then target = path:match("^.*/") .. target end
  return origin .. without_dots(target) .. rest_query
end

local function origin_of(url) return url:match("^%a+://[^/?#]+") end

---- pages ----

--- The addresses that a page leads to.
local function links_of(text, base)
  local links = {}
  for _, quotes in ipairs({ '%s*=%s*"([^"]*)"', "%s*=%s*'([^']*)'" }) do
    for attribute, link in text:gmatch("%s(%a+)" .. quotes) do
      local is_link = attribute:lower() == "href" or attribute:lower() == "src"
      links[#links + 1] = is_link and resolve(base, (link:gsub("&amp;", "&"))) or nil
    end
  end
  return links
end

--- What is wrong with an address, or nil and the links of its page, if that is on the site.
local function ask(url, site)
  local response <close> = await(http.fetch(url, { timeout = PATIENCE }))
  if not response.ok then return response.status .. " " .. response.status_text end
  local kind = response.headers:get "content-type" or ""
  if origin_of(response.url) ~= site or not kind:find("^text/html") then return nil, {} end
  return nil, links_of(await(response:text { limit = LONGEST }), response.url)
end

---- the site ----

--- Visits all pages, in the group. `found[url]` has the page that it is from and, as soon as
--- that is known, its problem, or false.
local function crawl(g, start, found)
  local site, permits = origin_of(start), tide.semaphore(LIMIT)

  local function visit(url, from)
    found[url] = { from = from }
    local permit <close> = await(permits:acquire())
    local ok, problem, links = pcall(ask, url, site)
    if not ok and g.signal.aborted then error(problem, 0) end
    found[url].problem = type(problem) == "table" and problem.code or problem or false
    permit:release()
    for _, link in ipairs(ok and links or {}) do
      if not found[link] then g:spawn(visit, link, url) end
    end
  end

  visit(start, start)
end

--- Prints what is broken, and how much that is.
local function report(found, site)
  local broken, count = {}, 0
  for url, link in pairs(found) do
    if link.problem ~= nil then count = count + 1 end
    if link.problem then broken[#broken + 1] = url end
  end
  table.sort(broken)
  local function name(url) return url:sub(1, #site) == site and url:sub(#site + 1) or url end
  for _, url in ipairs(broken) do
    print(("%s: %s, in %s"):format(name(url), found[url].problem, name(found[url].from)))
  end
  print(("%d links, %d broken"):format(count, #broken))
end

local function check(start, deadline)
  local found = {}
  local in_time = await(tide.move_on_after(deadline, function()
    await(tide.group(function(g) crawl(g, start, found) end))
  end))
  report(found, origin_of(start))
  print(in_time and "all links" or "out of time")
end

---- a site of its own ----

local PAGES = {
  ["/"] = [[<a href="docs/">docs</a> <a href='/old'>moved</a> <a href="#top">here</a>]],
  ["/docs/"] = [[<a href="../">up</a> <a href="tides.html?moon=full&amp;sun=up">tides</a>
    <img src="./chart.png"> <a href="mailto:ann@example.org">Ann</a> <a href="/slow">slow</a>]],
  ["/docs/tides.html"] = [[<a href="missing.html">ebb</a> <a href="../docs/./">docs</a>
    <a href="//127.0.0.1:1/">nobody</a>]],
  ["/new"] = [[<a href="gone">gone</a>]],
}

local function serve()
  return await(http.serve({ host = "127.0.0.1" }, function(request)
    local path = request.path
    if path == "/slow" then await(tide.sleep(60000)) end
    if path == "/old" then return http.redirect("/new", 301) end
    if PAGES[path] then return { html = PAGES[path] } end
    return path:find("%.png$") and "a chart" or { status = 404, html = "<p>nothing here</p>" }
  end))
end

if arg[1] == "demo" then
  local service <close> = serve()
  check(("http://127.0.0.1:%d/"):format(service:address().port), 2000)
elseif arg[1] then
  check(arg[1], tonumber(arg[2]) or 60000)
else
  io.stderr:write("usage: links.lua URL [MS]\n")
  os.exit(64)
end
