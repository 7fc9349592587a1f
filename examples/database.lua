-- A library that blocks, SQLite's, in two processes of their own: queries run side by side, and the
-- loop goes on meanwhile. The pool (database/pool.lua) knows nothing about databases.
--
--   moontide examples/database.lua            what happens: answers, errors, a crash, an abort
--   moontide examples/database.lua measure    what a round trip costs
--
-- It costs a round trip through two pipes and JSON twice, some 70 us on two cores, where SQLite
-- in this process takes 5 us for a query as small as that; and the loop is busy for most of it, so
-- that more processes do not make small jobs faster. This is for what takes a millisecond or more,
-- or may have to wait for a lock; small queries go into one job. A job that runs is not
-- interrupted. What a process has open, a transaction say, is lost when it crashes, and two jobs in
-- a row may come to different processes.

local folder = arg[0]:match("^(.*/)") or "./"
local start_pool = dofile(folder .. "database/pool.lua")
local tide = require "moontide"

local await = tide.await

--- The interpreter that runs this.
local function interpreter()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return arg[first]
end

local path = os.tmpname()
local pool = start_pool {
  command = interpreter(),
  arguments = { folder .. "database/worker.lua", path },
  size = 2,
}

local function query(sql, options) return pool:call({ sql = sql }, options) end

--- A query that takes a while.
local COUNT = [[with recursive c(n) as (select 1 union all select n + 1 from c where n < %d)
  select count(*) as total from c]]

local function demo()
  await(query "create table tides (place text, height real)")
  await(tide.map({ { "Brest", 6.1 }, { "Dover", 6.7 }, { "Fundy", 16.3 } }, function(row)
    return await(query(("insert into tides values ('%s', %g)"):format(row[1], row[2])))
  end))
  for _, row in ipairs(await(query "select * from tides order by height desc").rows) do
    print(row.place, row.height)
  end
  print(pcall(await, query "select nothing"))

  -- Both processes count; the loop ticks, and what is asked meanwhile waits in the queue.
  local ticks = 0
  local timer <close> = tide.set_interval(function() ticks = ticks + 1 end, 1)
  local counts = { query(COUNT:format(300000)), query(COUNT:format(300000)) }
  local controller = tide.AbortController()
  local queued = query("delete from tides", { signal = controller.signal })
  controller:abort("changed my mind")
  print("aborted in the queue:", pcall(await, queued))
  local a, b = tide.join(table.unpack(counts))
  timer:close()
  print("counted to", a.rows[1].total, b.rows[1].total, ticks > 5 and "while the loop ticked")

  -- A process that crashes takes its job with it, and another one takes its place.
  print("crashed:", pcall(await, pool:call { die = 3 }))
  print("still there:", await(query "select count(*) as total from tides").rows[1].total)
end

--- How long a job takes that does nothing, one after the other and two at a time.
local function measure()
  local N = 5000
  local function ask(n)
    for _ = 1, n do await(query "select 1") end
  end
  ask(100)
  for clients = 1, 2 do
    local before = tide.now()
    await(tide.each(table.pack(table.unpack({ N, N }, 1, clients)), ask))
    local us = 1000 * (tide.now() - before) / (N * clients)
    print(("%d at a time: %.0f us a job"):format(clients, us))
  end
end

(arg[1] == "measure" and measure or demo)()
await(pool:close())
print("stopped", pool.restarts .. " restarted")
os.remove(path)
