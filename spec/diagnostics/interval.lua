-- An interval is never cleared, so that the program does not end.
-- Line 17, seen by `kill -USR1`.
local tide = require "moontide"
local await = tide.await

io.stdout:setvbuf("line")

local function copy(name, ms)
  await(tide.sleep(ms))
  print("copied " .. name)
end

local function copy_with_progress(names)
  local done = 0
  for _, name in ipairs(names) do
    print("copying " .. name)
    tide.set_interval(function() io.write(done, " of ", #names, "\n") end, 50)
    await(tide.spawn(copy, name, 5))
    done = done + 1
  end
end

await(tide.spawn(copy_with_progress, { "sun.png" }))
