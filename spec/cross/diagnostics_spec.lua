-- Faulty programs, spec/diagnostics/NAME.lua, and NAME.clean.lua, the same without the mistake.
-- Their first lines say which line is wrong, and what reports it; README.md shows what is printed.
local child = require "spec.support.child"
local node = require "spec.support.node"
local programs = dofile "tools/programs.lua"

local FOLDER = "spec/diagnostics/"
local STRESSED = os.getenv("MOONTIDE_BUILD") == "gcstress"

-- What reports which program: the exit code, words of the report, and the rules that it is about.
local REPORTS = {
  ["moontide"] = {
    auction = { 1, "comparison of a promise (did you forget await?)", "S60 S80" },
    background = { 1, "the cache has no url", "S47 S81" },
    call_in_place = { 1, "bad argument #2 to 'timeout' (function expected, got Promise)", "S80" },
    callback = { 1, "bad argument #2 to 'fs.read_file' (table expected, got function)" },
    closed_file = { 1, "calling 'file:read' on bad self (it is closed)" },
    full_queue = { 13, "waits for queue:push\n", "S82" },
    greeting = { 1, "concatenation of a promise (did you forget await?)", "S60 S80" },
    handler = { 1, "attempt to index a nil value (field 'font')", "S47 S81" },
    import_cycle = { 1, "modules that await one another: shop.prices -> shop.cart" },
    invoice = { 1, "arithmetic on a promise (did you forget await?)", "S60 S80" },
    itself = { 13, ", in a circle\n", "S82" },
    late_child = { 1, "the group is over" },
    listing = { 1, "a promise has no field '1' (did you forget await?)", "S60 S80" },
    missing_file = { 1, "SystemError: ENOENT: no such file or directory, open", "S81" },
    not_called = { 1, "await of an async function that was not called", "S80" },
    option_type = { 1, "field 'concurrency': positive integer expected, got string" },
    own_promise = { 13, "waits for a promise\n", "S82" },
    page_iterator = { 1, "await inside a coroutine that is not an async function", "S11" },
    plain_callback = { 1, "await outside an async function", "S10" },
    price_tags = { 1, "bad argument #1 to 'Promise.all' (table expected, got Promise)", "S80" },
    profile = { 1, "a promise has no field 'admin' (did you forget await?)", "S60 S80" },
    ranking = { 1, "await cannot suspend inside table.sort", "S11" },
    release_twice = { 1, "the permit has been released already" },
    second_loop = { 1, "run cannot be called inside an async function", "S10" },
    second_permit = { 13, "waits for mutex:acquire\n", "S82" },
    siblings = { 1, "[group child (siblings.lua:", "S74 S81" },
    template = { 1, "await cannot suspend inside string.gsub", "S11" },
    thrown_table = { 1, '  code = "INSUFFICIENT"\n  missing = 95\n', "S81" },
    timer = { 1, "attempt to divide by zero", "S46 S81" },
    transfers = { 13, "waits for mutex:acquire (x 2)\n", "S82" },
    work_list = { 1, "a promise has no field 'kind' (did you forget await?)", "S60 S80" },
    workers = { 13, "waits for queue:pop (x 2)\n", "S82" },
  },
  ["moontide --debug"] = {
    busy = { 0, "a job holds the loop for more than 100 ms", "S64 S83" },
    card = { 0, "nobody awaits this call of async function 'load_name'", "S60 S83" },
    door = { 0, "nobody awaits this call of async function 'is_guest'", "S60 S83" },
    double = { 0, "nobody awaits this call of async function 'resize'", "S63 S83" },
    event = { 0, "nothing can settle what this call of async function 'clean_up'", "S83" },
    for_each = { 0, "nobody awaits this call of async function 'wash'", "S63 S83" },
    log_line = { 0, "nobody awaits this call of fs.append_file", "S60 S83" },
    log_writer = { 0, "nothing can settle what this call of async function 'write_lines'", "S83" },
    lost_permit = { 0, "the permit that was acquired here was dropped and never released", "S83" },
    missing_return = { 0, "nobody awaits this call of async function 'load_orders'", "S60 S83" },
    open_queue = { 0, "still suspended at the end:\nasync function 'write_lines'", "S83" },
    pause = { 0, "nobody awaits this call of sleep", "S60 S83" },
    pcall_call = { 0, "nobody awaits this call of async function 'send_mail'", "S62 S83" },
    retry = { 0, "was cancelled here and did not pass that on", "S83" },
    save = { 0, "nobody awaits this call of async function 'save'", "S60 S83" },
    status = { 0, "nobody awaits this call of async function 'status_of'", "S60 S83" },
    upload = { 0, "nobody awaits this call of async function 'upload'", "S63 S83" },
  },
  ["moontide check"] = {
    early_exit = { 1, "(T101) the promise of 'fs.write_file' is dropped", "S60" },
    sequential = { 0, "(T201) 'load_part' begins when 'load_part' has ended", "S61" },
    swallowed = { 1, "(T110) an empty handler swallows every error", "S62" },
    wrong_option = { 1, "(T112) 'fs.mkdir' has no option 'recursiv'" },
    wrong_option_quiet = { 1, "(T112) 'tide.each' has no option 'concurency'" },
  },
  ["kill -USR1"] = {
    interval = { 143, "timer: interval of 50 ms, due in", "S82" },
    open_server = { 143, "  server: 127.0.0.1:", "S82" },
  },
}

-- What the first lines of a file say: what is wrong, in which line, and who sees it.
local function head_of(file)
  local text = programs.read(FOLDER .. file)
  local what, line, how = text:match("^%S+ (.-)%.\n%S+ Line (%d+), (.-)%.\n")
  assert(line, file .. ": the first lines do not say which line is wrong")
  return { what = what, line = tonumber(line), how = how }
end

local function names_with(ending)
  local names = {}
  for file in child.shell("ls " .. FOLDER).out:gmatch("[^\n]+") do
    names[#names + 1] = file:match("^([%w_]+)" .. ending .. "$")
  end
  return names
end

-- The shell's command for one as a user in that folder would type it, `moontide --debug door.lua`.
local function command_for(text)
  local words = {}
  for word in text:gmatch("%S+") do
    words[#words + 1] = word:gsub("^[%w_.]+%.m?[lj][us]a?$", FOLDER .. "%0")
  end
  if words[1] == "node" then
    return "env -u LD_PRELOAD node " .. words[2]
  end
  return child.command("bin/moontide", table.unpack(words, 2))
end

local function without_folder(text)
  return (text:gsub("file://%S-/" .. FOLDER, ""):gsub(FOLDER, ""))
end

-- Once it has printed something, it gets SIGUSR1; once it has answered, SIGTERM.
local SIGNALLED = [[(
folder=$(mktemp -d)
has() { for _ in $(seq 400); do grep -qs "$2" "$folder/$1" && return; sleep 0.05; done; }
%s >"$folder/out" 2>"$folder/err" & pid=$!
has out .; kill -USR1 $pid; has err "^moontide: keeps the loop alive"
kill $pid; wait $pid; code=$?
cat "$folder/err" >&2; rm -r "$folder"; exit $code)]]

local function run(text)
  local signalled = text:match("^kill %-USR1 (.*)")
  local command = signalled and SIGNALLED:format(command_for("moontide " .. signalled))
    or command_for(text)
  local result = child.shell(command)
  local told = text:find("^moontide check ") and result.out .. result.err or result.err
  return { code = result.code, err = without_folder(told) }
end

local function names_line(text, file, line)
  return text:find(("%s:%d%%f[^%%d]"):format(file:gsub("%p", "%%%0"), line)) ~= nil
end

for how, reports in pairs(REPORTS) do
  describe("what " .. how .. " reports:", function()
    for name, report in pairs(reports) do
      local code, words, rules = table.unpack(report)
      it((rules and rules .. " " or "") .. name .. " by its line", function()
        local file = name .. ".lua"
        local head = head_of(file)
        assert.equal(("seen by `%s`"):format(how), head.how)
        local result = run(how .. " " .. file)
        assert.is_true(names_line(result.err, file, head.line), result.err)
        assert.is_truthy(result.err:find(words, 1, true), result.err)
        assert.equal(code, result.code)
      end)
    end
  end)
end

describe("without the mistake nothing is reported:", function()
  for _, name in ipairs(names_with("%.clean%.lua")) do
    it("S83 " .. name, function()
      local silence = { code = 0, err = "" }
      assert.same(silence, run(("moontide %s.clean.lua"):format(name)))
      assert.same(silence, run(("moontide --debug=error %s.clean.lua"):format(name)))
      assert.same(silence, run(("moontide check %s.clean.lua"):format(name)))
    end)
  end
end)

describe("the same in JavaScript:", function()
  for _, name in ipairs(names_with("%.mjs")) do
    it(name, function()
      if not node.available then
        return pending(node.absent)
      end
      local file = name .. ".mjs"
      local head = head_of(file)
      local seen = names_line(run("node " .. file).err, file, head.line)
      assert.equal(seen and "seen by node" or "not seen by node", head.how)
    end)
  end
end)

describe("spec/diagnostics", function()
  it("has nothing that is not looked at here", function()
    local known, clean, all = {}, {}, {}
    for _, reports in pairs(REPORTS) do
      for name in pairs(reports) do
        known[name] = true
      end
    end
    for _, name in ipairs(names_with("%.clean%.lua")) do
      clean[name] = true
    end
    for _, name in ipairs(names_with("%.lua")) do
      all[name] = true
    end
    assert.same(known, all)
    assert.same(known, clean)
    for _, name in ipairs(names_with("%.mjs")) do
      assert.is_true(known[name], name)
    end
  end)
end)

describe("spec/diagnostics/README.md", function()
  local text = programs.read(FOLDER .. "README.md")

  it("lists the programs", function()
    local twins = {}
    for _, name in ipairs(names_with("%.mjs")) do
      twins[name] = head_of(name .. ".mjs").how:match("^(.-) by node$")
    end
    local rows = {}
    for _, name in ipairs(names_with("%.lua")) do
      local head = head_of(name .. ".lua")
      rows[#rows + 1] = ("| [%s](%s.lua) | %s | %s | %s |"):format(name, name, head.what,
        head.how:match("`.*`"), twins[name] or "")
    end
    local listed = {}
    for row in text:gmatch("\n(| %[[^\n]*|)%f[\n]") do
      listed[#listed + 1] = row
    end
    assert.same(rows, listed)
  end)

  -- Where in node itself something happened is another line in each version, and no news.
  local function without_internals(output)
    return (output:gsub("\n    at [^\n]*%(node:[^\n]*%)", ""):gsub("(node:[%w/]+:)%d+", "%1N")
      :gsub("\nNode%.js v[^\n]*\n", ""))
  end

  -- A collector that comes before each job finds them one by one.
  local function without_counts(output)
    return STRESSED and output:gsub(" %(%d+ times%)", "") or output
  end

  for command, expected in text:gmatch("\n```text\n%$ ([^\n]*)\n(.-)```\n") do
    it("has what is printed by " .. command, function()
      if command:find("^node ") and node.version ~= tonumber(text:match("node (%d+)")) then
        return pending("what this version of node prints is not known")
      end
      local output = programs.output_of(command_for(command) .. " </dev/null")
      assert.equal(without_counts(expected), without_internals(without_folder(output)))
    end)
  end
end)
