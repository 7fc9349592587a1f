-- A pipeline of processes: sort | uniq -c, with what is between them seen by this program, too.
-- Nothing is held in memory but what is on its way, and whatever fails ends all of it.
local tide = require "moontide"
local process = require "moontide.process"

local await = tide.await
local WORDS = "the tide comes in and the tide goes out and the moon looks on\n"

--- Copies one stream to another, and ends that; returns how many bytes that were.
local function copy(from, to)
  local count = 0
  for chunk in from:chunks() do
    await(to:write(chunk))
    count = count + #chunk
  end
  await(to:close())
  return count
end

local function feed(to)
  for word in WORDS:gmatch("%a+") do
    await(to:write(word, "\n"))
  end
  await(to:close())
end

local both = { stdin = "pipe", stdout = "pipe", env = { PATH = os.getenv("PATH"), LC_ALL = "C" } }

tide.run(function()
  local sort <close> = await(process.spawn("sort", nil, both))
  local uniq <close> = await(process.spawn("uniq", { "-c" }, both))
  local copied = await(tide.group(function(group)
    group:spawn(feed, sort.stdin)
    local copying = group:spawn(copy, sort.stdout, uniq.stdin)
    for line in uniq.stdout:lines() do
      local count, word = line:match("(%d+) (%a+)")
      if tonumber(count) > 1 then
        print(word .. " " .. count)
      end
    end
    return await(copying)
  end))
  print(copied .. " bytes passed", "sort: " .. await(sort:wait()).code,
    "uniq: " .. await(uniq:wait()).code)
end)
