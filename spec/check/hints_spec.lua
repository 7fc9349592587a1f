-- Of: check/hints, check/effects
local declarations = require "moontide.check.declarations"
local effects = require "moontide.check.effects"
local leak = require "spec.support.leak"
local programs = require "spec.support.check"

-- What a program can do several times at once, and what it cannot.
local LOAD = "local load = async(function(name) await(sleep(1)) return #name end) "
local BUY = "local sum = 0 local buy = async(function(n) sum = sum + n await(sleep(1)) " ..
  "return n end) "
local ASK = "local stream = ... local ask = async(function(s) await(stream:write(s)) " ..
  "return await(stream:read_line()) end) "

describe("moontide check:", function()
  after_each(leak.check)

  it("T201 finds calls one after the other that do not need one another:", programs.each {
    LOAD .. [[
      local one = await(load('a'))
      local other = await(load('b')) --> T201
      print(one, other)
    ]],
    LOAD .. "local one, other = await(load('a')), await(load('b')) print(one, other) --> T201",
    LOAD .. [[
      local show = async(function(id)
        local user = await(load(id))
        local orders = await(load(id .. '/orders')) --> T201
        local news = await(load(id .. '/news')) --> T201
        print(user, orders, news)
      end)
      await(show('a'))
    ]],
  })

  it("T201 finds data that is read one after the other:", programs.each {
    "local one = await(fs.read_file('a')) local other = await(fs.read_file('b')) --> T201\n" ..
      "print(one, other)",
    "local a, b = ... local one = await(fs.scandir(a)) local other = await(fs.scandir(b)) " ..
      "print(one, other) --> T201",
    "local one = await(fs.stat('a')) local other = await(fs.read_file('b')) --> T201\n" ..
      "print(one, other)",
    "local dir = ... local one = await(fs.read_file(dir .. '/a')) " ..
      "local other = await(fs.read_file(dir .. '/b')) print(one, other) --> T201",
    LOAD .. "local one = await(load('a')) local other = await(fs.read_file('b')) " ..
      "print(one, other) --> T201",
    [[
      local size = async(function(path)
        local stat = await(fs.stat(path))
        return stat.size
      end)
      local one = await(size('a'))
      local other = await(size('b')) --> T201
      print(one, other)
    ]],
  })

  it("knows which functions of moontide's change nothing", function()
    for class, functions in pairs(effects.READING) do
      for name in pairs(functions) do
        assert.is_table(declarations.field(class, name), class .. "." .. name)
      end
    end
  end)

  it("T201 says nothing of", programs.each {
    "local put = async(function() await(fs.write_file('a', 'b')) return true end) " ..
      "local get = async(function() return await(fs.read_file('a')) end) " ..
      "local one = await(put()) local other = await(get()) print(one, other)",
    "local put = async(function() os.remove('a') return true end) " ..
      "local get = async(function() return await(fs.read_file('a')) end) " ..
      "local one = await(put()) local other = await(get()) print(one, other)",
    "local ask = async(function(what) io.write(what) return io.read() end) " ..
      "local one = await(ask('name? ')) local other = await(ask('age? ')) print(one, other)",
    "local show = async(function(text) print(text) await(sleep(1)) return #text end) " ..
      "local one = await(show('a')) local other = await(show('b')) print(one, other)",
    LOAD .. "local n = 0 local function new_name() n = n + 1 return 'a' .. n end " ..
      "local one = await(load(new_name())) local other = await(load(new_name())) " ..
      "print(one, other)",
    "local list = {} local function note(x) list[#list + 1] = x end " ..
      "local each = async(function(f) f(1) await(sleep(1)) return 1 end) " ..
      "local one = await(each(note)) local other = await(each(note)) print(one, other)",
    "local list = {} local function note(x) list[#list + 1] = x end " ..
      "local all = async(function(t) await(tide.map(t, note)) return 1 end) " ..
      "local one = await(all { 1 }) local other = await(all { 2 }) print(one, other)",
    "local list = {} local function note(x) list[#list + 1] = x end " ..
      "local try = async(function(x) pcall(note, x) return 1 end) " ..
      "local one = await(try(1)) local other = await(try(2)) print(one, other)",
    "local one = await(fs.mkdtemp('a')) local other = await(fs.mkdtemp('b')) print(one, other)",
    "local one = await(fs.open('a')) local other = await(fs.open('b')) print(one, other)",
    LOAD .. "local one, other = join(load('a'), load('b')) print(one, other)",
    LOAD .. "local one = await(load('a')) local other = await(load(('x'):rep(one))) print(other)",
    LOAD .. "local one = await(load('a')) if one > 1 then return end " ..
      "local other = await(load('b')) print(other)",
    LOAD .. "local a, b = load('a'), load('b') local one = await(a) local other = await(b) " ..
      "print(one, other)",
    BUY .. "local one = await(buy(1)) local other = await(buy(2)) print(one, other)",
    ASK .. "local one = await(ask('a')) local other = await(ask('b')) print(one, other)",
    "local stream = await(net.connect { port = 1 }) local one = await(stream:read_line()) " ..
      "local other = await(stream:read_line()) print(one, other)",
    "local function step(s) local n = await(s:next()) return n end local s = ... " ..
      "local one = step(s) local other = step(s) print(one, other)",
    LOAD .. "await(load('a')) await(load('b'))",
    "local dir = await(fs.mkdtemp('a')) local text = await(fs.read_file('b')) " ..
      "print(dir, text)",
    "local fill = async(function(t, n) await(sleep(1)) t[#t + 1] = n return #t end) " ..
      "local t = {} " ..
      "local one = await(fill(t, 1)) local other = await(fill(t, 2)) print(one, other)",
  })

  it("T202 finds calls one after the other for each item of a list:", programs.each {
    LOAD .. "local sizes = {} for i, name in ipairs { 'a', 'b' } do " ..
      "sizes[i] = await(load(name)) end print(#sizes) --> T202",
    LOAD .. [[
      local names, sizes = { 'a', 'b' }, {}
      for i = 1, #names do
        sizes[#sizes + 1] = await(load(names[i])) --> T202
      end
    ]],
    LOAD .. [[
      local sizes = {}
      for _, name in ipairs { 'a', 'b' } do
        local size = await(load(name)) --> T202
        table.insert(sizes, size)
      end
    ]],
  })

  it("T202 finds data that is read for each item:", programs.each {
    "local texts = {} for i, path in ipairs(arg) do " ..
      "texts[i] = await(fs.read_file(path)) end --> T202",
    "local dir, stats = ..., {} for _, name in ipairs { 'a', 'b' } do " ..
      "table.insert(stats, await(fs.stat(dir .. '/' .. name))) end --> T202",
  })

  it("T202 says nothing of", programs.each {
    LOAD .. "local sizes = {} for i, name in ipairs { 'a', 'b' } do " ..
      "sizes[i] = await(load(sizes[i - 1] or name)) end",
    LOAD .. "local sizes = {} for _, name in ipairs { 'a', 'b' } do " ..
      "local size = await(load(table.concat(sizes) .. name)) table.insert(sizes, size) end",
    LOAD .. "local list = {} for i, name in ipairs { 'a', 'b' } do " ..
      "list[i] = await(load(name .. io.read())) end",
    "local dirs = {} for i, name in ipairs { 'a', 'b' } do dirs[i] = await(fs.mkdtemp(name)) end",
    LOAD .. "local sizes = await(tide.map({ 'a', 'b' }, load)) print(#sizes)",
    LOAD .. "local sum = 0 for _, name in ipairs { 'a' } do sum = sum + await(load(name)) end",
    LOAD .. "local sizes = {} for _, name in ipairs { 'a' } do sizes[name] = await(load(name)) end",
    LOAD .. "for _, name in ipairs { 'a' } do print(await(load(name))) end",
    BUY .. "local list = {} for i, n in ipairs { 1, 2 } do list[i] = await(buy(n)) end",
    LOAD .. "local calls = {} for i, name in ipairs { 'a' } do calls[i] = load(name) end " ..
      "await(Promise.all(calls))",
    LOAD .. "local list = {} for i = 1, 3 do list[i] = await(load(('a'):rep(i))) end",
  })
end)
