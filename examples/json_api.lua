-- A JSON API: boats, kept in memory.
--
--   GET    /boats        the list, 100 at most: ?after=ID goes on behind that one
--   POST   /boats        {"name": "Ebb", "length": 9.5}: 201 and its location
--   GET    /boats/ID     PUT /boats/ID     DELETE /boats/ID
--
-- What is wrong is told as {"error": "..."}, with all that is wrong of a boat.
--
--   moontide examples/json_api.lua 8080
--   moontide examples/json_api.lua demo        asks itself
local http = require "moontide.http"
local tide = require "moontide"
local await = tide.await

local HOST, PAGE, LONGEST = "127.0.0.1", 100, 4096
local boats, last_id = {}, 0

---- errors ----

--- Raises a reply that refuses the request.
local function refuse(status, message, headers)
  error({ refusal = { status = status, json = { error = message }, headers = headers } }, 0)
end

--- Reads the body, with errors as JSON, too.
local function read_json(request)
  local kind = (request.headers:get "content-type" or ""):match("^[^; ]*"):lower()
  if kind ~= "application/json" then refuse(415, "send application/json") end
  local ok, value = pcall(await, request:json { limit = LONGEST })
  if ok then return value end
  if value.name == "SyntaxError" then refuse(400, value.message) end
  if value.code == "BODY_TOO_LARGE" then refuse(413, value.message) end
  error(value, 0)
end

---- boats ----

--- Of what a client has sent, a boat and nothing else.
local function check_boat(value)
  if type(value) ~= "table" then refuse(422, "a boat is an object") end
  local name, length, wrong = value.name, value.length, {}
  if type(name) ~= "string" or not utf8.len(name) or #name < 1 or #name > 100 then
    wrong[#wrong + 1] = "name: 1 to 100 bytes of UTF-8"
  end
  if type(length) ~= "number" or not (length > 0 and length < 500) then
    wrong[#wrong + 1] = "length: a number of metres, less than 500"
  end
  if #wrong > 0 then refuse(422, table.concat(wrong, "; ")) end
  return { name = name, length = length }
end

local function find(id) return boats[id] or refuse(404, "there is no boat " .. id) end

local collection, member = {}, {}

--- To lua-cjson, an empty table is an object.
local function json_list(list)
  if #list > 0 then return { json = list } end
  return { body = "[]", headers = { ["Content-Type"] = "application/json" } }
end

function collection.GET(request)
  local after = request.query:get "after" or "0"
  local id = tonumber(after:match("^%d+$")) or refuse(400, "after: the id of a boat")
  local list = {}
  while id < last_id and #list < PAGE do
    id = id + 1
    list[#list + 1] = boats[id]
  end
  return json_list(list)
end

function collection.POST(request)
  local boat = check_boat(read_json(request))
  last_id = last_id + 1
  boat.id, boats[last_id] = last_id, boat
  return { status = 201, json = boat, headers = { Location = "/boats/" .. boat.id } }
end

function member.GET(_, id) return { json = find(id) } end

function member.PUT(request, id)
  local boat = check_boat(read_json(request))
  find(id) -- after the body has come, which took its time
  boat.id, boats[id] = id, boat
  return { json = boat }
end

function member.DELETE(_, id)
  find(id)
  boats[id] = nil
  return { status = 204, body = "" }
end

---- requests ----

--- The methods of a path, and the id in it.
local function route(path)
  if path == "/boats" then return collection end
  local id = math.tointeger(tonumber(path:match("^/boats/(%d+)$")))
  return id and member or refuse(404, "there is nothing at " .. path), id
end

local function allowed(methods)
  local names = {}
  for name in pairs(methods) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function answer(request)
  local methods, id = route(request.path)
  local method = request.method == "HEAD" and "GET" or request.method
  local handler = methods[method]
  if not handler then refuse(405, "not that method", { Allow = allowed(methods) }) end
  return handler(request, id)
end

--- What is no refusal is a mistake here, or a cancellation: that is for the server.
local function handle(request)
  local ok, reply = pcall(answer, request)
  if ok then return reply end
  if type(reply) == "table" and reply.refusal then return reply.refusal end
  error(reply, 0)
end

---- its own client ----

local function demo(port)
  local base = ("http://%s:%d"):format(HOST, port)
  local function ask(method, path, options)
    options = options or {}
    options.method = method
    local response = await(http.fetch(base .. path, options))
    local body = response.status ~= 204 and await(response:json()) or { name = "gone" }
    print(("%s %s: %d %s"):format(method, path, response.status,
      body.error or body.name or #body .. " boats"))
    return response
  end
  ask("GET", "/boats")
  local location = ask("POST", "/boats", { json = { name = "Ebb", length = 9.5 } }).headers:get
    "location"
  ask("PUT", location, { json = { name = "Ebb II", length = 10.5, owner = "nobody" } })
  ask("GET", "/boats")
  ask("POST", "/boats", { json = { name = "", length = "long" } })
  ask("POST", "/boats", { body = "{", headers = { ["Content-Type"] = "application/json" } })
  ask("POST", "/boats", { json = { name = ("x"):rep(LONGEST), length = 1 } })
  ask("POST", "/boats", { body = "Ebb" })
  ask("PATCH", location)
  ask("DELETE", location)
  ask("DELETE", location)
end

local service = await(http.serve({ host = HOST, port = tonumber(arg[1]) }, handle))
local port = service:address().port

if arg[1] == "demo" then
  demo(port)
else
  print("listening on port " .. port)
  await(tide.signal("SIGINT", "SIGTERM"):next())
end
await(service:close { grace = 5000 })
