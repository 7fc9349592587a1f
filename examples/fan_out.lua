-- Follows the links of local pages, as a crawler does, with a limit and a deadline:
--
--   moontide examples/fan_out.lua [PAGE [MS]]
--
-- A page is a file; a line of it, `-> NAME`, is a link to its neighbour NAME. Pages are read once
-- each, at most LIMIT at a time. What the deadline cuts off is not reported, and nothing of it goes
-- on behind the program's back.
local tide = require "moontide"
local fs = require "moontide.fs"
local await = tide.await

local LIMIT = 4
local start, deadline = arg[1] or "examples/pages/index", tonumber(arg[2]) or 1000

local found = {} -- page -> lines without links, or the error

local function links_of(page, text)
  local links, lines = {}, 0
  for line in text:gmatch("[^\n]+") do
    local name = line:match("^%-> (%S+)$")
    if name then
      links[#links + 1] = page:gsub("[^/]*$", "") .. name
    else
      lines = lines + 1
    end
  end
  found[page] = lines .. " lines"
  return links
end

--- Reads a page; returns its links. A page that is missing ends nothing.
local function visit(page)
  local ok, text = pcall(await, fs.read_file(page))
  if ok then return links_of(page, text) end
  if text.name ~= "SystemError" then error(text, 0) end
  found[page] = text.code
  return {}
end

--- All pages at one distance from the start, side by side; then the next ones.
local function crawl(pages)
  local seen = { [pages[1]] = true }
  while #pages > 0 do
    local lists = await(tide.map(pages, visit, { concurrency = LIMIT }))
    pages = {}
    for _, links in ipairs(lists) do
      for _, page in ipairs(links) do
        if not seen[page] then
          seen[page] = true
          pages[#pages + 1] = page
        end
      end
    end
  end
end

local in_time = await(tide.move_on_after(deadline, crawl, { start }))

local names = {}
for page in pairs(found) do names[#names + 1] = page end
table.sort(names)
for _, page in ipairs(names) do print(page, found[page]) end
print(in_time and "all pages" or "out of time")
