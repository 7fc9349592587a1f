local browser = require "spec.support.browser"
local child = require "spec.support.child"

local scale = require "spec.support.scale"

local SIZES = { { 1280, 800 }, { 390, 844 } }

-- Calls f with the page that a script makes.
local function with_page(source, f)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ".html"
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  return child.with_file(source, function(script)
    local result = child.shell(child.command("bin/moontide", "--timeline", path, script))
    assert.same({ code = 0, out = "", err = "" }, result)
    return f(path, script)
  end)
end

-- Two calls one after the other, a long job, two side by side, and a deadline.
local PROGRAM = [[
local tide = require "moontide"
local async, await, sleep = tide.async, tide.await, tide.sleep
local fetch = async(function(ms)
  await(sleep(ms))
  return ms
end)
local load = async(function()
  local one = await(fetch(40))
  local two = await(fetch(60))
  return one + two
end)
local burn = async(function()
  await(nil)
  local start = tide.now()
  while tide.now() - start < 100 do end
end)
local both = async(function() tide.join(fetch(10), fetch(20)) end)
await(load())
await(burn())
await(both())
pcall(await, tide.timeout(15, sleep, 1000))
]]

local function find(findings, pattern)
  for i, text in ipairs(findings) do
    if text:find(pattern) then return i, text end
  end
  error("no finding has " .. pattern .. ": " .. table.concat(findings, "\n"))
end

-- Where a bar is, and the pixels of a stretch of it.
local HELP = [[
  const call = name => [...model.calls.values()].find(c => c.name === name);
  const middle = call => yOf(call) + Math.max(call.lane.size - 3, 2) / 2;
  const colors = (call, from, to) => {
    const scale = devicePixelRatio, y = Math.round(middle(call) * scale), seen = new Set();
    for (let x = xOf(from); x <= xOf(to); x++) {
      seen.add(context.getImageData(Math.round(x * scale), y, 1, 1).data.join());
    }
    return seen.size;
  };
  const point = (type, x, y) => {
    const box = canvas.getBoundingClientRect(), clientX = box.left + x, clientY = box.top + y;
    canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1, clientX, clientY }));
  };
  const press = (...keys) => keys.forEach(key => {
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    draw();
  });
  const texts = selector => [...document.querySelectorAll(selector)].map(e => e.textContent);
]]

local function ask(path, size, program, flags)
  return browser.ask(path, size[1], size[2], HELP .. program, flags)
end

describe("moontide --timeline", function()
  if not browser.path then
    pending "no Chromium here"
    return
  end

  for _, size in ipairs(SIZES) do
    describe(("at %d x %d"):format(size[1], size[2]), function()
      it("shows findings, by what they cost, and the functions", function()
        with_page(PROGRAM, function(path, script)
          local report = ask(path, size, [[
            return {
              findings: texts("#findings span"), costs: texts("#findings b"),
              title: document.title, summary: texts("#summary")[0],
              functions: texts("#functions td:first-child"),
              fits: document.documentElement.scrollWidth <= innerWidth, width: innerWidth,
            };
          ]])
          assert.equal(size[1], report.width)
          assert.is_true(report.fits)
          assert.equal("Timeline of " .. script, report.title)
          assert.matches("^8 calls of async functions in ", report.summary)
          find(report.findings, "^load awaits 2 calls one after the other: fetch, at [^ ]+:8 and ")
          find(report.findings, "^The longest job: burn ran for %d[%d.]* ms, from [^ ]+:13")
          find(report.findings, "^Busy: what begins at [^ ]+:13 ran for ")
          find(report.findings, "^A deadline of 15 ms was not met: timeout, awaited by ")
          local costs = {}
          for i, text in ipairs(report.costs) do costs[i] = tonumber(text:match("^[%d.]+")) end
          for i = 2, #costs do assert.is_true(costs[i - 1] >= costs[i]) end
          find(report.functions, "^burn  .*:12$")
        end)
      end)

      it("does not take calls side by side for calls one after the other", function()
        with_page(PROGRAM, function(path)
          local report = ask(path, size, "return findSequences(model).map(f => f.call.name)")
          assert.equal(2, #report) -- the script's is the other one
          find(report, "^load$")
        end)
      end)

      it("draws a bar for each call: solid where it runs, hatched where it waits", function()
        with_page(PROGRAM, function(path)
          local report = ask(path, size, [[
            const burn = call("burn"), load = call("load"), run = burn.runs.at(-1);
            const margin = (run.to - run.from) * 0.2;
            return {
              label: canvas.getAttribute("aria-label"),
              lanes: layout.lanes.map(l => l.name + " " + l.depth),
              solid: colors(burn, run.from + margin, run.to - margin),
              hatched: colors(load, load.waits[0].from + 5, load.waits[0].to - 5),
            };
          ]])
          assert.matches("^%d+ lanes, 9 calls in sight, 0 ms to ", report.label)
          assert.equal(1, report.solid)
          assert.is_true(report.hatched > 2)
          assert.same({ "load 1", "fetch 2", "burn 1", "both 1", "fetch 2" },
            { table.unpack(report.lanes, 2, 6) })
        end)
      end)

      it("tells what a call waits for where one points at it", function()
        with_page(PROGRAM, function(path)
          local report = ask(path, size, [[
            const load = call("load"), wait = load.waits[1], x = xOf((wait.from + wait.to) / 2);
            point("pointermove", x, middle(load));
            const shown = !tip.hidden && tip.textContent, box = tip.getBoundingClientRect();
            point("pointerdown", x, middle(load));
            point("pointerup", x, middle(load));
            const fits = box.left >= 0 && box.right <= innerWidth;
            return { shown, fits, chosen: details.textContent };
          ]])
          assert.matches("^load %(.*:7%), call %d+: ", report.shown)
          assert.matches("\nwaits for fetch, call %d+, at [^\n]+:9: %d", report.shown)
          assert.is_true(report.fits)
          assert.matches("^load .*\ncalled by ", report.chosen)
        end)
      end)

      it("has a picture", function()
        with_page(PROGRAM, function(path)
          local folder = child.shell("mkdir -p build/timeline && cd build/timeline && pwd").out
          local to = ("%s/%dx%d.png"):format(folder:gsub("\n", ""), size[1], size[2])
          browser.picture(path, size[1], size[2], to)
          local file <close> = assert(io.open(to, "rb"))
          assert.equal("\137PNG", file:read(4))
        end)
      end)
    end)
  end

  it("draws arrows from who wakes to who goes on", function()
    with_page(PROGRAM, function(path)
      local report = ask(path, SIZES[1], [[
        return model.arrows.map(a => a.name + " " + a.target.name);
      ]])
      find(report, "^fetch load$")
    end)
  end)

  it("zooms and moves by keys, by buttons, by the wheel, and by a finding", function()
    with_page(PROGRAM, function(path)
      local report = ask(path, SIZES[1], [[
        const spans = [], note = () => spans.push(view.to - view.from);
        note(); press("+"); note(); press("-"); note();
        press("+", "ArrowLeft", "ArrowRight", "0"); note();
        document.getElementById("closer").click(); note();
        const wheel = { deltaY: -300, ctrlKey: true, bubbles: true };
        canvas.dispatchEvent(new WheelEvent("wheel", wheel)); note();
        press("0", "n", "n");
        const second = selected.name;
        press("p");
        const first = selected.name;
        press("Enter"); note();
        const findings = [...document.querySelectorAll("#findings button")];
        findings.find(b => b.textContent.includes("load awaits")).click(); draw();
        return { spans, first, second, found: selected.name,
          inSight: view.from <= selected.waits[0].from && view.to >= selected.waits.at(-1).to };
      ]])
      local all, closer, wider, home, button, wheel, entered = table.unpack(report.spans)
      assert.is_true(closer < all and wheel < button and button < all and entered <= all * 1.02)
      assert.is_true(math.abs(wider - all) < 0.1 and math.abs(home - all) < 0.1)
      assert.matches("/", report.first)
      assert.equal("load", report.second)
      assert.equal("load", report.found)
      assert.is_true(report.inSight)
    end)
  end)

  it("finds functions", function()
    with_page(PROGRAM, function(path)
      local report = ask(path, SIZES[1], [[
        const field = document.getElementById("search");
        field.value = "FETCH"; field.dispatchEvent(new Event("input")); draw();
        const text = sight.textContent; press("n");
        return { text, selected: selected.name };
      ]])
      assert.matches("; 4 found$", report.text)
      assert.equal("fetch", report.selected)
    end)
  end)

  it("is dark where the system is", function()
    with_page(PROGRAM, function(path)
      local program = "return getComputedStyle(document.body).backgroundColor"
      assert.equal("rgb(255, 255, 255)", ask(path, SIZES[1], program))
      assert.equal("rgb(20, 23, 27)", ask(path, SIZES[1], program, browser.dark))
    end)
  end)

  it("takes nothing that a program says for a part of the page", function()
    with_page([==[
      local tide = require "moontide"
      local chunk = '=</script><img id="bad">&lt;"\\'
      local f = load("local t = require 'moontide' t.await(t.sleep(5)) t.await(t.sleep(1))", chunk)
      tide.await(tide.spawn(f))
    ]==], function(path)
      local report = ask(path, SIZES[1], [[
        const inner = [...model.calls.values()][1], bad = document.getElementById("bad");
        point("pointermove", xOf((inner.begin + inner.end) / 2), middle(inner));
        return { name: inner.name, good: !bad, tip: tip.textContent };
      ]])
      assert.equal('</script><img id="bad">&lt;"\\', report.name)
      assert.is_true(report.good)
      assert.is_truthy(report.tip:find(report.name, 1, true))
    end)
  end)

  it("shows what there is of a program that was killed", function()
    with_page(PROGRAM, function(path)
      local file <close> = assert(io.open(path, "r+b"))
      local text = file:read("a")
      local cut = assert(io.open(path, "wb"))
      cut:write(text:sub(1, -700))
      cut:close()
      local report = ask(path, SIZES[1], "return [...model.calls.values()].map(c => c.name)")
      find(report, "^load$")
    end)
  end)

  it("draws of 10,000 calls what is in sight, once for a pixel", function()
    local rounds = math.max(scale(197), 1)
    with_page(([[
      local tide = require "moontide"
      local work = tide.async(function(ms) tide.await(tide.sleep(ms)) end)
      local many = tide.async(function()
        local calls = {}
        for i = 1, 50 do calls[i] = work(i %% 3) end
        tide.await(tide.Promise.all(calls))
      end)
      for _ = 1, %d do tide.await(many()) end
    ]]):format(rounds), function(path)
      local report = ask(path, SIZES[1], [[
        let drawn = 0;
        const inner = drawWaits;
        drawWaits = (...args) => { drawn += 1; inner(...args); };
        draw();
        const all = drawn, size = model.calls.size, label = canvas.getAttribute("aria-label");
        drawn = 0;
        show(model.end / 2, model.end / 2 + model.end / 1000);
        draw();
        const rows = layout.lanes.reduce((n, l) => n + l.rows.length, 0);
        return { all, size, label, few: drawn, pixels: width() * rows };
      ]])
      assert.equal(1 + 51 * rounds, report.size)
      assert.is_true(report.all <= report.size and report.all <= report.pixels)
      assert.is_true(report.few < 250, report.few)
      assert.matches(report.size .. " calls in sight", report.label)
    end)
  end)

  it("is written beside the trace, of the same events", function()
    local trace = os.tmpname()
    local _ <close> = setmetatable({}, { __close = function() os.remove(trace) end })
    child.with_file(PROGRAM, function(script)
      local page = trace .. ".html"
      local result = child.shell(child.command("bin/moontide", "--trace", trace, "--timeline", page,
        script))
      assert.same({ code = 0, out = "", err = "" }, result)
      local events <close> = assert(io.open(trace))
      local html <close> = assert(io.open(page))
      assert.is_truthy(html:read("a"):find(events:read("a"), 1, true))
      os.remove(page)
    end)
  end)

  it("says before the script runs that it cannot be written", function()
    local result = child.with_file("print 'ran'", function(script)
      return child.shell(child.command("bin/moontide", "--timeline=/no/such/x.html", script))
    end)
    assert.same({ 1, "" }, { result.code, result.out })
    assert.matches("^moontide: cannot write '/no/such/x.html': ", result.err)
  end)
end)
