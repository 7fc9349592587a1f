-- What the parser accepts is what llhttp in strict mode accepts, and a second reading of RFC 9112.
-- MOONTIDE_MUTATIONS is how many mutated requests are tried.
local compile = require "spec.support.compile"
local files = require "spec.support.files"
local messages = require "spec.support.messages"
local model = require "spec.support.request_model"
local requests = require "spec.support.requests"

local has_parser, llhttp = pcall(require, "moontide.llhttp_core")

local COUNT = tonumber(os.getenv("MOONTIDE_MUTATIONS")) or 20000
local LIMIT = requests.LIMIT

---- mutations ----

local BYTES = "\r\n \t:;,\0\1\v\x7f\xff\"\\/?#@*()=-019afFxX.GPHT"

local BITS = {
  "\r\n", "\r", "\n", "\r\n ", " ", "\t", ",", ", ", ";", ";a=b", ":", "0", "00", "+",
  "Host: a\r\n",
  "Content-Length: 3\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "chunked",
  "gzip, ", "identity", "Connection: close\r\n", "Connection: Upgrade\r\nUpgrade: a\r\n",
  "Expect: 100-continue\r\n", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "http://a", "3\r\nabc\r\n",
  "0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "keep-alive", "\0", "%00", "*",
}

local edits = {}

function edits.replace(text, at)
  local by = math.random(#BYTES)
  return text:sub(1, at - 1) .. BYTES:sub(by, by) .. text:sub(at + 1)
end

function edits.remove(text, at)
  return text:sub(1, at - 1) .. text:sub(at + math.random(4))
end

function edits.insert(text, at)
  return text:sub(1, at - 1) .. BITS[math.random(#BITS)] .. text:sub(at)
end

function edits.double(text, at)
  local part = text:sub(at, at + math.random(20))
  return text:sub(1, at - 1) .. part .. text:sub(at)
end

function edits.case(text, at)
  local byte = text:sub(at, at)
  local other = byte:lower() == byte and byte:upper() or byte:lower()
  return text:sub(1, at - 1) .. other .. text:sub(at + 1)
end

--- Where a line begins: that is where something whole fits in.
function edits.insert_line(text, at)
  local line = text:find("\r\n", at, true)
  return edits.insert(text, line and line + 2 or at)
end

local names = {}
for name in pairs(edits) do
  names[#names + 1] = name
end
table.sort(names)

local seeds, accepted_seeds = {}, {}
for _, row in ipairs(requests.ROWS) do
  if #row[1] > 0 and #row[1] < 400 then
    seeds[#seeds + 1] = row[1]
  end
  if #row[1] < 400 and not row[2]:find("%d%d%d$") and not row[2]:find("%.%.%.$") then
    accepted_seeds[#accepted_seeds + 1] = row[1]
  end
end

local function mutated()
  local from = math.random(4) == 1 and seeds or accepted_seeds
  local text = from[math.random(#from)]
  for _ = 1, math.random(0, 3) do
    text = edits[names[math.random(#names)]](text, math.random(math.max(#text, 1)))
  end
  return text
end

---- what is told ----

local NUMBERS = {}

--- The same as llhttp tells it.
local function plainly(told)
  local method, target = told:match("^(%S+) (%S+)")
  local body = told:match('^%S+ %S+[%l%d. ]- "(.-)" %[') or told:match('^%S+ %S+[%l%d. ]- "(.*)"$')
  return ("%d %s %s"):format(NUMBERS[method], target, body or "")
end

local function shown(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\\13", "\\r"))
end

describe("what the parser accepts", function()
  if not has_parser then
    return pending("built without llhttp")
  end

  local plain

  setup(function()
    local path = files.directory() .. "/plain_llhttp.so"
    compile.llhttp_module("spec/support/plain_llhttp.c", path)
    plain = assert(package.loadlib(path, "luaopen_plain_llhttp"))()
    for _, row in ipairs(requests.ROWS) do
      local method = row[1]:match("^(%S+) /")
      local list = method and plain(method .. " / HTTP/1.1\r\nHost: a\r\n\r\n")
      if list and list[1] then
        NUMBERS[method] = tonumber(list[1]:match("^%d+"))
      end
    end
  end)

  teardown(files.remove)

  it(("is what a second reading and llhttp accept, of %d requests"):format(COUNT), function()
    local accepted, refused = 0, 0
    for _ = 1, COUNT do
      local text = mutated()
      local ours = messages.complete(messages.read(llhttp.parser(LIMIT), text, #text + 1))
      local expected = model.messages(text, LIMIT)
      if table.concat(ours, "\n") ~= table.concat(expected, "\n") then
        assert.same(expected, ours, shown(text))
      end
      local theirs = plain(text)
      for i, told in ipairs(ours) do
        if NUMBERS[told:match("^%S+")] and theirs[i] ~= plainly(told) then
          assert.equal(plainly(told), theirs[i], shown(text))
        end
      end
      accepted, refused = accepted + #ours, refused + (#theirs > #ours and 1 or 0)
    end
    assert.is_true(accepted > COUNT / 10)
    assert.is_true(refused > COUNT / 100) -- by what is looked at besides
  end)
end)
