-- A process of the pool: runs SQL on a file of SQLite's, line by line. Nothing here knows of
-- moontide.
--
--   lua5.4 examples/database/worker.lua FILE
local json = require "dkjson"
local sqlite = require "luasql.sqlite3"

local connection = assert(sqlite.sqlite3():connect(arg[1]))
assert(connection:execute "pragma busy_timeout = 10000") -- others write to the file, too

local function rows_of(cursor)
  return function() return cursor:fetch({}, "a") end
end

local function run(sql)
  local cursor = assert(connection:execute(sql))
  if type(cursor) == "number" then return { changed = cursor } end
  local rows = setmetatable({}, { __jsontype = "array" }) -- also when there are none
  for row in rows_of(cursor) do rows[#rows + 1] = row end
  cursor:close()
  return { rows = rows }
end

for line in io.lines() do
  local request = json.decode(line)
  if request.die then os.exit(request.die) end -- as a bug in a library of C would have it
  local ok, result = pcall(run, request.sql)
  io.write(json.encode(ok and result or { error = tostring(result) }), "\n")
  io.flush()
end
