-- retry(f, options): calls an async function until it succeeds, with a pause between two attempts.
local tide = require "moontide"
local async, await = tide.async, tide.await

return async(function(f, options)
  local attempts, pause = options.attempts, options.pause
  for attempt = 1, attempts do
    local results = table.pack(pcall(await, f(attempt)))
    if results[1] then
      return table.unpack(results, 2, results.n)
    elseif attempt == attempts then
      error(results[2], 0)
    end
    await(tide.sleep(pause))
    pause = pause * 2
  end
end)
