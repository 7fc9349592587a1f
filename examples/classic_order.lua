-- The classic question: in which order are these lines printed?
--
-- JavaScript's answer is moontide's: first all that is synchronous, then the microtasks in the
-- order in which they were queued, then the timers.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local greet = async(function()
  print "2  the async function runs at once"
  await(nil)
  print "5  and goes on as a microtask"
end)

print "1  the script starts"

tide.set_timeout(function()
  print "8  the timer"
  tide.queue_microtask(function() print "9  the timer's microtask" end)
end, 0)
tide.set_timeout(function() print "10 the second timer, after that microtask" end, 0)

greet() -- moontide: ignore T101
Promise.resolve():next(function() print "6  the first reaction" end):next(function()
  print "7  the reaction to that one, one tick later"
end)

print "3  greet() has returned a promise"
print "4  the script ends"
