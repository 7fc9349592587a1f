-- A dashboard that asks three services: first one after the other, then side by side.
--
--   moontide examples/dashboard.lua
--
-- `moontide --timeline out.html examples/dashboard.lua` draws it, and says what the first way
-- costs.
-- The services are its own, in this process, and take their time.
local http = require "moontide.http"
local tide = require "moontide"
local async, await, join = tide.async, tide.await, tide.join

---- the services ----

local LATENCY = { user = 120, orders = 240, billing = 180 } -- ms

local ANSWERS = {
  user = { name = "Ada" },
  orders = { "a compass", "a chart", "forty fathoms of rope" },
  billing = { due = 42.5 },
}

local service <close> = await(http.serve({ host = "127.0.0.1" }, function(request)
  local name, id = request.path:match "^/(%a+)/(%d+)$"
  if id == "7" and ANSWERS[name] then
    await(tide.sleep(LATENCY[name]))
    return { json = ANSWERS[name] }
  end
  return { status = 404, json = { error = "there is no user " .. tostring(id) } }
end))

---- their client ----

local base = ("http://127.0.0.1:%d"):format(service:address().port)

--- What a service says. Statuses such as 404 are replies like any other: it is for us to look.
local fetch_json = async(function(path)
  local response = await(http.fetch(base .. path))
  local body = await(response:json())
  if not response.ok then
    error(("%d %s, %s"):format(response.status, response.status_text, body.error), 0)
  end
  return body
end)

local function load_in_turn(id)
  local user = await(fetch_json("/user/" .. id))
  local orders = await(fetch_json("/orders/" .. id)) -- moontide: ignore T201
  local billing = await(fetch_json("/billing/" .. id)) -- moontide: ignore T201
  return user, orders, billing
end

local function load_together(id)
  return join(fetch_json("/user/" .. id), fetch_json("/orders/" .. id),
    fetch_json("/billing/" .. id))
end

local function show(how, load, id)
  local begun = tide.now()
  local ok, user, orders, billing = pcall(load, id)
  local ms = tide.now() - begun
  if ok then
    print(("%s has ordered %s, and owes %.2f"):format(user.name, table.concat(orders, ", "),
      billing.due))
  else
    print(("user %d: %s"):format(id, user))
  end
  print(("  %s: %.0f ms"):format(how, ms))
end

show("one after the other", load_in_turn, 7)
show("side by side", load_together, 7)
show("side by side", load_together, 8)
