-- Of: core/microtask
-- Whole logs, each compared with the log that node prints for the same program.
local tide = require "moontide"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"
local order = require "spec.support.order"

local async, await, spawn, sleep = tide.async, tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise
local micro = tide.queue_microtask
local set_timeout, set_interval = tide.set_timeout, tide.set_interval
local set_immediate = tide.set_immediate

local function busy(ms)
  local stop = tide.now() + ms
  repeat until tide.now() >= stop
end

-- Logs name1, name2, ... in the ticks that follow: a ruler to read tick counts from.
local function ticks(log, name, count)
  local p = Promise.resolve()
  for i = 1, count do
    p = p:next(function()
      log(name .. i)
    end)
  end
end

local TICKS = [[
const ticks = (name, count) => {
  let p = Promise.resolve();
  for (let i = 1; i <= count; i++) p = p.then(() => log(name + i));
};
]]

describe("the order of await", function()
  after_each(leak.check)

  order("S01 runs an async function at once, up to its first suspension", {
    lua = function(log)
      local f = async(function()
        log("f1")
        await(nil)
        log("f2")
      end)
      log("before")
      f()
      log("after")
    end,
    js = [[
      const f = async () => { log("f1"); await null; log("f2"); };
      log("before");
      f();
      log("after");
    ]],
    log = "before, f1, after, f2",
  })

  order("S06 continues after the microtasks queued before it, before any timer", {
    lua = function(log)
      set_timeout(log, 0, "timer")
      set_immediate(log, "immediate")
      micro(log, "micro 1")
      spawn(function()
        await(nil)
        log("continued")
      end)
      micro(log, "micro 2")
      log("sync")
      busy(5)
    end,
    js = [[
      setTimeout(log, 0, "timer");
      setImmediate(log, "immediate");
      queueMicrotask(() => log("micro 1"));
      (async () => { await null; log("continued"); })();
      queueMicrotask(() => log("micro 2"));
      log("sync");
      busy(5);
    ]],
    log = "sync, micro 1, continued, micro 2, timer, immediate",
  })

  order("S07 yields to queued microtasks for a plain value and for a settled promise", {
    lua = function(log)
      local settled = Promise.resolve("settled")
      spawn(function()
        micro(log, "m1")
        log(await("plain"))
        micro(log, "m2")
        log(await(settled))
        micro(log, "m3")
        log(select(2, pcall(await, Promise.reject("rejected"))))
      end)
    end,
    js = [[
      const settled = Promise.resolve("settled");
      (async () => {
        queueMicrotask(() => log("m1"));
        log(await "plain");
        queueMicrotask(() => log("m2"));
        log(await settled);
        queueMicrotask(() => log("m3"));
        try { await Promise.reject("rejected"); } catch (e) { log(e); }
      })();
    ]],
    log = "m1, plain, m2, settled, m3, rejected",
  })

  order("S08 takes one tick for a plain value and for a settled promise", {
    lua = function(log)
      ticks(log, "t", 4)
      spawn(function()
        await(1)
        log("value")
        await(Promise.resolve(1))
        log("promise")
        pcall(await, Promise.reject(1))
        log("rejection")
      end)
    end,
    js = TICKS .. [[
      ticks("t", 4);
      (async () => {
        await 1; log("value");
        await Promise.resolve(1); log("promise");
        try { await Promise.reject(1); } catch (e) { log("rejection"); }
      })();
    ]],
    log = "t1, value, t2, promise, t3, rejection, t4",
  })

  order("S08 takes one tick from the job that settles a pending promise", {
    lua = function(log)
      local p, resolve = Promise.with_resolvers()
      spawn(function()
        await(p)
        log("continued")
      end)
      micro(function()
        log("resolving")
        resolve()
        micro(log, "after")
      end)
      ticks(log, "t", 3)
    end,
    js = TICKS .. [[
      const { promise: p, resolve } = Promise.withResolvers?.() ?? (() => {
        const d = {};
        d.promise = new Promise((a, b) => { d.resolve = a; d.reject = b; });
        return d;
      })();
      (async () => { await p; log("continued"); })();
      queueMicrotask(() => {
        log("resolving"); resolve(); queueMicrotask(() => log("after"));
      });
      ticks("t", 3);
    ]],
    log = "resolving, t1, continued, after, t2, t3",
  })

  order("S08 takes one job more for a thenable", {
    lua = function(log)
      ticks(log, "t", 4)
      spawn(function()
        local thenable = {
          ["then"] = function(_, resolve)
            log("then called")
            resolve("x")
          end,
        }
        log(await(thenable))
      end)
      log("sync")
    end,
    js = TICKS .. [[
      ticks("t", 4);
      (async () => {
        log(await { then(resolve) { log("then called"); resolve("x"); } });
      })();
      log("sync");
    ]],
    log = "sync, t1, then called, t2, x, t3, t4",
  })

  order("S08 takes one tick for what an async function returns, three for a promise", {
    lua = function(log)
      ticks(log, "t", 5)
      local done = function(name)
        return function()
          log(name)
        end
      end
      spawn(function() return 1 end):next(done("value"))
      spawn(function() return Promise.resolve(1) end):next(done("promise"))
      spawn(function() return await(Promise.resolve(1)) end):next(done("await"))
      spawn(function()
        return { ["then"] = function(_, resolve) resolve(1) end }
      end):next(done("thenable"))
    end,
    js = TICKS .. [[
      ticks("t", 5);
      const done = (name) => () => log(name);
      (async () => 1)().then(done("value"));
      (async () => Promise.resolve(1))().then(done("promise"));
      (async () => await Promise.resolve(1))().then(done("await"));
      (async () => ({ then(resolve) { resolve(1); } }))().then(done("thenable"));
    ]],
    log = "t1, value, t2, await, thenable, t3, promise, t4, t5",
  })

  order("S08 takes as many ticks for a returned promise that is rejected", {
    lua = function(log)
      ticks(log, "t", 5)
      spawn(function() error("thrown", 0) end):catch(log)
      spawn(function() return Promise.reject("returned") end):catch(log)
      spawn(function() return await(Promise.reject("awaited")) end):catch(log)
    end,
    js = TICKS .. [[
      ticks("t", 5);
      (async () => { throw "thrown"; })().catch(log);
      (async () => Promise.reject("returned"))().catch(log);
      (async () => await Promise.reject("awaited"))().catch(log);
    ]],
    log = "t1, thrown, t2, awaited, t3, returned, t4, t5",
  })

  order("S08 adds a tick for each async function that a value passes through", {
    lua = function(log)
      ticks(log, "t", 5)
      local c = async(function() log("c") return "v" end)
      local b = async(function() log("b") return await(c()) end)
      local a = async(function() log("a") return await(b()) end)
      a():next(log)
    end,
    js = TICKS .. [[
      ticks("t", 5);
      const c = async () => { log("c"); return "v"; };
      const b = async () => { log("b"); return await c(); };
      const a = async () => { log("a"); return await b(); };
      a().then(log);
    ]],
    log = "a, b, c, t1, t2, t3, v, t4, t5",
  })

  order("S09 lets two async functions take turns", {
    lua = function(log)
      local f = async(function(name)
        for i = 1, 3 do
          log(name, i)
          await(nil)
        end
        log(name, "done")
      end)
      f("a")
      f("b")
      log("sync")
    end,
    js = [[
      const f = async (name) => {
        for (let i = 1; i <= 3; i++) { log(name, i); await null; }
        log(name, "done");
      };
      f("a"); f("b");
      log("sync");
    ]],
    log = "a 1, b 1, sync, a 2, b 2, a 3, b 3, a done, b done",
  })

  order("S04 raises in the awaiting function, and a rethrow passes on", {
    lua = function(log)
      local inner = async(function()
        await(nil)
        log("throwing")
        error("boom", 0)
      end)
      local outer = async(function()
        local ok, err = pcall(await, inner())
        log("caught", ok, err)
        error(err .. " again", 0)
      end)
      outer():catch(log):next(function()
        log("end")
      end)
      ticks(log, "t", 5)
    end,
    js = TICKS .. [[
      const inner = async () => { await null; log("throwing"); throw "boom"; };
      const outer = async () => {
        try { await inner(); } catch (e) { log("caught", false, e); throw e + " again"; }
      };
      outer().catch(log).then(() => log("end"));
      ticks("t", 5);
    ]],
    log = "throwing, t1, caught false boom, t2, boom again, t3, end, t4, t5",
  })

  order("S09 awaits three calls in flight in the order of the awaits", {
    lua = function(log)
      local work = async(function(name, n)
        for _ = 1, n do
          await(nil)
        end
        log("worked", name)
        return name
      end)
      spawn(function()
        local a, b, c = work("a", 3), work("b", 1), work("c", 2)
        log(await(a))
        log(await(b))
        log(await(c))
      end)
      ticks(log, "t", 7)
    end,
    js = TICKS .. [[
      const work = async (name, n) => {
        for (let i = 0; i < n; i++) await null;
        log("worked", name);
        return name;
      };
      (async () => {
        const a = work("a", 3), b = work("b", 1), c = work("c", 2);
        log(await a); log(await b); log(await c);
      })();
      ticks("t", 7);
    ]],
    log = "worked b, t1, worked c, t2, worked a, t3, a, t4, b, t5, c, t6, t7",
  })

  order("S21 resumes everyone who waits for one promise, in the order they came", {
    lua = function(log)
      local p, resolve = Promise.with_resolvers()
      local wait = async(function(name)
        log(name, await(p))
        micro(log, name .. " micro")
        await(nil)
        log(name, "end")
      end)
      wait("a")
      p:next(function(v) log("next", v) end)
      wait("b")
      resolve("v")
      log("sync")
    end,
    js = [[
      let resolve;
      const p = new Promise((r) => { resolve = r; });
      const wait = async (name) => {
        log(name, await p);
        queueMicrotask(() => log(name + " micro"));
        await null;
        log(name, "end");
      };
      wait("a");
      p.then((v) => log("next", v));
      wait("b");
      resolve("v");
      log("sync");
    ]],
    log = "sync, a v, next v, b v, a micro, a end, b micro, b end",
  })
end)

describe("the order of promise jobs", function()
  after_each(leak.check)

  order("S21 interleaves independent chains", {
    lua = function(log)
      ticks(log, "a", 3)
      ticks(log, "b", 3)
      log("sync")
    end,
    js = TICKS .. [[ ticks("a", 3); ticks("b", 3); log("sync"); ]],
    log = "sync, a1, b1, a2, b2, a3, b3",
  })

  order("S21 appends reactions that are added while reactions run", {
    lua = function(log)
      local p = Promise.resolve()
      p:next(function()
        log(1)
        p:next(function() log(3) end)
        micro(log, 4)
      end)
      p:next(function() log(2) end)
    end,
    js = [[
      const p = Promise.resolve();
      p.then(() => {
        log(1);
        p.then(() => log(3));
        queueMicrotask(() => log(4));
      });
      p.then(() => log(2));
    ]],
    log = "1, 2, 3, 4",
  })

  order("S23 takes two jobs to adopt a promise, wherever it is resolved with", {
    lua = function(log)
      ticks(log, "t", 5)
      Promise(function(resolve) resolve(Promise.resolve("executor")) end):next(log)
      Promise.resolve():next(function() return Promise.resolve("handler") end):next(log)
      Promise.resolve(Promise.resolve("same promise")):next(log)
      Promise.resolve({ ["then"] = function(_, f) f("thenable") end }):next(log)
      Promise.resolve(Promise.resolve("x")):next(nil):next(log)
    end,
    js = TICKS .. [[
      ticks("t", 5);
      new Promise((resolve) => resolve(Promise.resolve("executor"))).then(log);
      Promise.resolve().then(() => Promise.resolve("handler")).then(log);
      Promise.resolve(Promise.resolve("same promise")).then(log);
      Promise.resolve({ then(f) { f("thenable"); } }).then(log);
      Promise.resolve(Promise.resolve("x")).then(null).then(log);
    ]],
    log = "t1, same promise, t2, thenable, x, t3, executor, t4, handler, t5",
  })

  order("S23 follows a chain of thenables one job at a time", {
    lua = function(log)
      local function thenable(n)
        return {
          ["then"] = function(_, resolve)
            log("then", n)
            resolve(n > 0 and thenable(n - 1) or "v")
            log("returned", n)
          end,
        }
      end
      ticks(log, "t", 4)
      Promise.resolve(thenable(2)):next(log)
    end,
    js = TICKS .. [[
      const thenable = (n) => ({
        then(resolve) {
          log("then", n); resolve(n > 0 ? thenable(n - 1) : "v"); log("returned", n);
        },
      });
      ticks("t", 4);
      Promise.resolve(thenable(2)).then(log);
    ]],
    log = "t1, then 2, returned 2, t2, then 1, returned 1, t3, then 0, returned 0, t4, v",
  })

  order("S22 takes one tick for each link, with a handler or without", {
    lua = function(log)
      ticks(log, "t", 6)
      Promise.resolve("v"):catch(log):catch(log):next(log)
      Promise.reject("e"):next(log):next(log):catch(log)
      Promise.reject("f"):catch(function(e) log(e) error("g", 0) end):next(log, log)
    end,
    js = TICKS .. [[
      ticks("t", 6);
      Promise.resolve("v").catch(log).catch(log).then(log);
      Promise.reject("e").then(log).then(log).catch(log);
      Promise.reject("f").catch((e) => { log(e); throw "g"; }).then(log, log);
    ]],
    log = "t1, f, t2, g, t3, v, e, t4, t5, t6",
  })

  order("S24 lets finally take the ticks that it takes", {
    lua = function(log)
      ticks(log, "t", 8)
      local p = Promise.resolve("v")
      p:finally(function() log("plain") end):next(function() log("after plain") end)
      p:finally(function()
        log("promise")
        return Promise.resolve()
      end):next(function() log("after promise") end)
      p:finally(function()
        log("thenable")
        return { ["then"] = function(_, resolve) resolve() end }
      end):next(function() log("after thenable") end)
      p:finally(function() log("throw") error("e", 0) end):catch(log)
      Promise.reject("r"):finally(function() log("rejected") end):catch(log)
      p:finally(nil):next(function() log("no handler") end)
    end,
    js = TICKS .. [[
      ticks("t", 8);
      const p = Promise.resolve("v");
      p.finally(() => { log("plain"); }).then(() => log("after plain"));
      p.finally(() => { log("promise"); return Promise.resolve(); })
        .then(() => log("after promise"));
      p.finally(() => { log("thenable"); return { then(resolve) { resolve(); } }; })
        .then(() => log("after thenable"));
      p.finally(() => { log("throw"); throw "e"; }).catch(log);
      Promise.reject("r").finally(() => { log("rejected"); }).catch(log);
      p.finally(null).then(() => log("no handler"));
    ]],
    log = [[t1, plain, promise, thenable, throw, rejected, t2, e, no handler, t3, t4, after plain,
      after promise, r, t5, after thenable, t6, t7, t8]],
  })

  order("S27 runs an executor in between, and the code after resolve at once", {
    lua = function(log)
      log("before")
      local p = Promise(function(resolve)
        log("executor")
        resolve("v")
        log("after resolve")
        error("ignored")
      end)
      p:next(log)
      log("after")
    end,
    js = [[
      log("before");
      const p = new Promise((resolve) => {
        log("executor"); resolve("v"); log("after resolve"); throw new Error("ignored");
      });
      p.then(log);
      log("after");
    ]],
    log = "before, executor, after resolve, after, v",
  })

  order("S26 starts Promise.try in between, and takes as long as a promise does", {
    lua = function(log)
      ticks(log, "t", 4)
      Promise.try(function() log("sync") return "value" end):next(log)
      Promise.try(function() error("thrown", 0) end):catch(log)
      Promise.try(function() return Promise.resolve("promise") end):next(log)
      log("after")
    end,
    js = TICKS .. [[
      ticks("t", 4);
      const attempt = Promise.try?.bind(Promise) ?? ((f) => new Promise((r) => r(f())));
      attempt(() => { log("sync"); return "value"; }).then(log);
      attempt(() => { throw "thrown"; }).catch(log);
      attempt(() => Promise.resolve("promise")).then(log);
      log("after");
    ]],
    log = "sync, after, t1, value, thrown, t2, t3, promise, t4",
  })

  order("S41 runs microtasks in the order they were queued, whatever made them", {
    lua = function(log)
      local p, resolve = Promise.with_resolvers()
      p:next(function() log("reaction of p") end)
      micro(function()
        log("m1")
        micro(log, "m4")
        resolve()
        micro(log, "m5")
      end)
      Promise.resolve():next(function() log("reaction") end)
      spawn(function() await(nil) log("await") end)
      micro(log, "m2")
      Promise.resolve({ ["then"] = function() log("thenable") end })
      micro(log, "m3")
    end,
    js = [[
      let resolve;
      const p = new Promise((r) => { resolve = r; });
      p.then(() => log("reaction of p"));
      queueMicrotask(() => {
        log("m1"); queueMicrotask(() => log("m4")); resolve(); queueMicrotask(() => log("m5"));
      });
      Promise.resolve().then(() => log("reaction"));
      (async () => { await null; log("await"); })();
      queueMicrotask(() => log("m2"));
      Promise.resolve({ then() { log("thenable"); } });
      queueMicrotask(() => log("m3"));
    ]],
    log = "m1, reaction, await, m2, thenable, m3, m4, reaction of p, m5",
  })
end)

describe("the order of combinators", function()
  after_each(leak.check)

  order("S25 takes two ticks for all, all_settled, any and race of settled promises", {
    lua = function(log)
      ticks(log, "t", 5)
      local list = { Promise.resolve(1), 2 }
      Promise.all(list):next(function(r) log("all", r[1], r[2]) end)
      Promise.all_settled(list):next(function(r) log("settled", r[1].value, r[2].status) end)
      Promise.any(list):next(function(v) log("any", v) end)
      Promise.race(list):next(function(v) log("race", v) end)
    end,
    js = TICKS .. [[
      ticks("t", 5);
      const list = [Promise.resolve(1), 2];
      Promise.all(list).then((r) => log("all", ...r));
      Promise.allSettled(list).then((r) => log("settled", r[0].value, r[1].status));
      Promise.any(list).then((v) => log("any", v));
      Promise.race(list).then((v) => log("race", v));
    ]],
    log = "t1, t2, all 1 2, settled 1 fulfilled, any 1, race 1, t3, t4, t5",
  })

  order("S25 settles with an empty list at once, race never", {
    lua = function(log)
      ticks(log, "t", 3)
      Promise.all({}):next(function(r) log("all", #r) end)
      Promise.all_settled({}):next(function(r) log("settled", #r) end)
      Promise.any({}):catch(function(e) log(e.name, #e.errors) end)
      Promise.race({}):finally(function() log("never") end)
    end,
    js = TICKS .. [[
      ticks("t", 3);
      Promise.all([]).then((r) => log("all", r.length));
      Promise.allSettled([]).then((r) => log("settled", r.length));
      Promise.any([]).catch((e) => log(e.name, e.errors.length));
      Promise.race([]).finally(() => log("never"));
    ]],
    log = "t1, all 0, settled 0, AggregateError 0, t2, t3",
  })

  order("S25 rejects with the first rejection, while the others run on", {
    lua = function(log)
      ticks(log, "t", 6)
      local work = async(function(name, n, fail)
        for _ = 1, n do await(nil) end
        log("end of", name)
        if fail then error(name, 0) end
        return name
      end)
      Promise.all({ work("a", 4), work("b", 2, true), work("c", 1), work("d", 3, true) })
        :catch(function(e) log("rejected", e) end)
    end,
    js = TICKS .. [[
      ticks("t", 6);
      const work = async (name, n, fail) => {
        for (let i = 0; i < n; i++) await null;
        log("end of", name);
        if (fail) throw name;
        return name;
      };
      Promise.all([work("a", 4), work("b", 2, true), work("c", 1), work("d", 3, true)])
        .catch((e) => log("rejected", e));
    ]],
    log = "t1, end of c, t2, end of b, t3, end of d, t4, end of a, rejected b, t5, t6",
  })

  order("S25 gives a thenable among the elements its job more", {
    lua = function(log)
      ticks(log, "t", 6)
      local thenable = { ["then"] = function(_, resolve) log("then") resolve("th") end }
      Promise.all({ "v", thenable }):next(function(r) log("all", r[1], r[2]) end)
      Promise.race({ thenable, Promise.resolve("p") }):next(function(v) log("race", v) end)
      Promise.any({ Promise.reject(1), thenable }):next(function(v) log("any", v) end)
    end,
    js = TICKS .. [[
      ticks("t", 6);
      const thenable = { then(resolve) { log("then"); resolve("th"); } };
      Promise.all(["v", thenable]).then((r) => log("all", ...r));
      Promise.race([thenable, Promise.resolve("p")]).then((v) => log("race", v));
      Promise.any([Promise.reject(1), thenable]).then((v) => log("any", v));
    ]],
    log = "t1, then, then, then, t2, race p, t3, all v th, any th, t4, t5, t6",
  })

  order("S25 nests", {
    lua = function(log)
      ticks(log, "t", 6)
      spawn(function()
        local r = await(Promise.all({
          Promise.all({ 1, Promise.resolve(2) }),
          Promise.race({ Promise.resolve(3), 4 }),
          Promise.any({ Promise.reject(5), 6 }),
        }))
        log("all", r[1][1], r[1][2], r[2], r[3])
      end)
    end,
    js = TICKS .. [[
      ticks("t", 6);
      (async () => {
        const r = await Promise.all([
          Promise.all([1, Promise.resolve(2)]),
          Promise.race([Promise.resolve(3), 4]),
          Promise.any([Promise.reject(5), 6]),
        ]);
        log("all", r[0][0], r[0][1], r[1], r[2]);
      })();
    ]],
    log = "t1, t2, t3, all 1 2 3 6, t4, t5, t6",
  })

  order("S25 any waits for the last rejection, all_settled for the last of either", {
    lua = function(log)
      ticks(log, "t", 6)
      local after = async(function(n, fail)
        for _ = 1, n do await(nil) end
        if fail then error(n, 0) end
        return n
      end)
      Promise.any({ after(2, true), after(3, true), after(1, true) }):catch(function(e)
        log(e.name, e.errors[1], e.errors[2], e.errors[3])
      end)
      Promise.all_settled({ after(1), after(3, true) }):next(function(r)
        log(r[1].status, r[1].value, r[2].status, r[2].reason)
      end)
      Promise.race({ after(2), after(1, true) }):catch(function(e) log("race", e) end)
    end,
    js = TICKS .. [[
      ticks("t", 6);
      const after = async (n, fail) => {
        for (let i = 0; i < n; i++) await null;
        if (fail) throw n;
        return n;
      };
      Promise.any([after(2, true), after(3, true), after(1, true)])
        .catch((e) => log(e.name, ...e.errors));
      Promise.allSettled([after(1), after(3, true)])
        .then((r) => log(r[0].status, r[0].value, r[1].status, r[1].reason));
      Promise.race([after(2), after(1, true)]).catch((e) => log("race", e));
    ]],
    log = "t1, t2, t3, race 1, t4, t5, AggregateError 2 3 1, fulfilled 1 rejected 3, t6",
  })

  order("S09 join waits like an await of all", {
    lua = function(log)
      ticks(log, "t", 5)
      spawn(function()
        log("joined", tide.join(Promise.resolve("a"), "b"))
      end)
    end,
    js = TICKS .. [[
      ticks("t", 5);
      (async () => {
        log("joined", ...(await Promise.all([Promise.resolve("a"), "b"])));
      })();
    ]],
    log = "t1, t2, joined a b, t3, t4, t5",
  })
end)

describe("the order of top-level await", function()
  after_each(leak.check)

  order("S10 goes on after the microtasks queued before it", {
    lua = function(log)
      ticks(log, "t", 4)
      log("one", await("v"))
      micro(log, "m")
      log("two", await(Promise.resolve("p")))
      log("three")
    end,
    js = TICKS .. [[
      ticks("t", 4);
      log("one", await "v");
      queueMicrotask(() => log("m"));
      log("two", await Promise.resolve("p"));
      log("three");
    ]],
    log = "t1, one v, t2, m, two p, three, t3, t4",
  })

  order("S10 goes on right after the timer that ended it, before the next timer", {
    lua = function(log)
      set_timeout(log, 1, "timer 1")
      local p = Promise(function(resolve)
        set_timeout(function()
          log("timer 2")
          micro(log, "micro before")
          resolve()
          micro(log, "micro after")
        end, 1)
      end)
      set_timeout(log, 1, "timer 3")
      busy(5)
      await(p)
      log("main")
      micro(log, "micro of main")
      log("end of main")
    end,
    js = [[
      setTimeout(log, 1, "timer 1");
      const p = new Promise((resolve) => {
        setTimeout(() => {
          log("timer 2");
          queueMicrotask(() => log("micro before"));
          resolve();
          queueMicrotask(() => log("micro after"));
        }, 1);
      });
      setTimeout(log, 1, "timer 3");
      busy(5);
      await p;
      log("main");
      queueMicrotask(() => log("micro of main"));
      log("end of main");
    ]],
    log = "timer 1, timer 2, micro before, main, end of main, micro after, micro of main, timer 3",
  })

  order("S10 goes on between two immediates", {
    lua = function(log)
      local p, resolve = Promise.with_resolvers()
      set_immediate(function() log("i1") resolve("v") end)
      set_immediate(function() log("i2") end)
      log("main", await(p))
      set_immediate(function() log("i3") end)
    end,
    js = [[
      let resolve;
      const p = new Promise((r) => { resolve = r; });
      setImmediate(() => { log("i1"); resolve("v"); });
      setImmediate(() => log("i2"));
      log("main", await p);
      setImmediate(() => log("i3"));
    ]],
    log = "i1, main v, i2, i3",
  })

  order("S10 raises a rejection where it can be caught", {
    lua = function(log)
      micro(log, "m")
      log("caught", select(2, pcall(await, Promise.reject("e"))))
      local fail = async(function() await(sleep(1)) error("late", 0) end)
      log("caught", select(2, pcall(await, fail())))
    end,
    js = [[
      queueMicrotask(() => log("m"));
      try { await Promise.reject("e"); } catch (e) { log("caught", e); }
      const fail = async () => { await sleep(1); throw "late"; };
      try { await fail(); } catch (e) { log("caught", e); }
    ]],
    log = "m, caught e, caught late",
  })

  order("S10 takes turns with async functions", {
    lua = function(log)
      local f = async(function(name)
        for i = 1, 3 do
          await(nil)
          log(name, i)
        end
      end)
      f("f")
      for i = 1, 3 do
        await(nil)
        log("main", i)
      end
      f("g")
      await(nil)
      log("end")
    end,
    js = [[
      const f = async (name) => {
        for (let i = 1; i <= 3; i++) { await null; log(name, i); }
      };
      f("f");
      for (let i = 1; i <= 3; i++) { await null; log("main", i); }
      f("g");
      await null;
      log("end");
    ]],
    log = "f 1, main 1, f 2, main 2, f 3, main 3, g 1, end, g 2, g 3",
  })
end)

describe("the order of timers and immediates", function()
  after_each(leak.check)

  order("S40 is the classic one", {
    lua = function(log)
      set_timeout(log, 0, "timeout")
      Promise.resolve():next(function() log("microtask") end)
      log("sync")
    end,
    js = [[
      setTimeout(log, 0, "timeout");
      Promise.resolve().then(() => log("microtask"));
      log("sync");
    ]],
    log = "sync, microtask, timeout",
  })

  order("S41 drains the microtasks between two timers due together", {
    lua = function(log)
      for i = 1, 3 do
        set_timeout(function()
          log("timer", i)
          micro(function()
            log("micro", i)
            Promise.resolve():next(function() log("nested", i) end)
          end)
          spawn(function()
            await(nil)
            await(nil)
            log("async", i)
          end)
        end, 1)
      end
      busy(5)
    end,
    js = [[
      for (let i = 1; i <= 3; i++) {
        setTimeout(() => {
          log("timer", i);
          queueMicrotask(() => {
            log("micro", i);
            Promise.resolve().then(() => log("nested", i));
          });
          (async () => { await null; await null; log("async", i); })();
        }, 1);
      }
      busy(5);
    ]],
    log = [[timer 1, micro 1, nested 1, async 1, timer 2, micro 2, nested 2, async 2,
      timer 3, micro 3, nested 3, async 3]],
  })

  order("S41 drains the microtasks between two immediates", {
    lua = function(log)
      for i = 1, 2 do
        set_immediate(function()
          log("immediate", i)
          micro(log, "micro", i)
        end)
      end
    end,
    js = [[
      for (let i = 1; i <= 2; i++) {
        setImmediate(() => {
          log("immediate", i);
          queueMicrotask(() => log("micro", i));
        });
      }
    ]],
    log = "immediate 1, micro 1, immediate 2, micro 2",
  })

  order("S42 fires timers by due time, then by creation", {
    lua = function(log)
      set_timeout(log, 60, "60")
      set_timeout(log, 1, "1 a")
      set_timeout(log, 30, "30 a")
      set_timeout(log, 0, "0")
      set_timeout(log, 30, "30 b")
      set_timeout(log, -5, "-5")
      set_timeout(log, 1, "1 b")
      set_timeout(log, 0 / 0, "nan")
    end,
    js = [[
      setTimeout(log, 60, "60");
      setTimeout(log, 1, "1 a");
      setTimeout(log, 30, "30 a");
      setTimeout(log, 0, "0");
      setTimeout(log, 30, "30 b");
      setTimeout(log, -5, "-5");
      setTimeout(log, 1, "1 b");
      setTimeout(log, NaN, "nan");
    ]],
    log = "1 a, 0, -5, 1 b, nan, 30 a, 30 b, 60",
  })

  order("S42 lets a callback or a microtask stop a timer that is already due", {
    lua = function(log)
      local third, fourth
      set_timeout(function()
        log("first")
        tide.clear_timeout(third)
        micro(function() tide.clear_timeout(fourth) end)
      end, 1)
      set_timeout(log, 1, "second")
      third = set_timeout(log, 1, "third")
      fourth = set_timeout(log, 1, "fourth")
      set_timeout(log, 1, "fifth")
      busy(5)
    end,
    js = [[
      let third, fourth;
      setTimeout(() => {
        log("first"); clearTimeout(third); queueMicrotask(() => clearTimeout(fourth));
      }, 1);
      setTimeout(log, 1, "second");
      third = setTimeout(log, 1, "third");
      fourth = setTimeout(log, 1, "fourth");
      setTimeout(log, 1, "fifth");
      busy(5);
    ]],
    log = "first, second, fifth",
  })

  order("S42 re-arms an interval after its callback, before the microtasks", {
    lua = function(log)
      local count = 0
      local interval
      interval = set_interval(function()
        count = count + 1
        log("interval", count)
        if count == 3 then return tide.clear_interval(interval) end
        set_timeout(log, 5, "timeout of callback", count)
        micro(function() set_timeout(log, 5, "timeout of microtask", count) end)
      end, 5)
    end,
    js = [[
      let count = 0;
      const interval = setInterval(() => {
        count++;
        log("interval", count);
        if (count === 3) return clearInterval(interval);
        setTimeout(log, 5, "timeout of callback", count);
        queueMicrotask(() => setTimeout(log, 5, "timeout of microtask", count));
      }, 5);
    ]],
    log = [[interval 1, timeout of callback 1, interval 2, timeout of microtask 1,
      timeout of callback 2, interval 3, timeout of microtask 2]],
  })

  order("S42 stops an interval from a microtask of its own callback", {
    lua = function(log)
      local interval
      interval = set_interval(function()
        log("interval")
        micro(function() tide.clear_interval(interval) end)
      end, 1)
    end,
    js = [[
      const interval = setInterval(() => {
        log("interval");
        queueMicrotask(() => clearInterval(interval));
      }, 1);
    ]],
    log = "interval",
  })

  order("S43 runs immediates after the timers of the same turn", {
    lua = function(log)
      set_immediate(log, "immediate")
      set_timeout(function()
        log("timer 1")
        set_immediate(log, "immediate of timer")
      end, 1)
      set_timeout(log, 1, "timer 2")
      busy(5)
    end,
    js = [[
      setImmediate(log, "immediate");
      setTimeout(() => { log("timer 1"); setImmediate(log, "immediate of timer"); }, 1);
      setTimeout(log, 1, "timer 2");
      busy(5);
    ]],
    log = "timer 1, timer 2, immediate, immediate of timer",
  })

  order("S43 runs immediates that immediates queue in the next turn", {
    lua = function(log)
      set_immediate(function()
        log("a")
        set_immediate(function()
          log("c")
          set_immediate(log, "d")
        end)
        set_timeout(log, 1, "timer")
        busy(5)
      end)
      set_immediate(log, "b")
    end,
    js = [[
      setImmediate(() => {
        log("a");
        setImmediate(() => { log("c"); setImmediate(log, "d"); });
        setTimeout(log, 1, "timer");
        busy(5);
      });
      setImmediate(log, "b");
    ]],
    log = "a, b, timer, c, d",
  })

  order("S43 lets an immediate, or a microtask of it, stop a later one of the same turn", {
    lua = function(log)
      local second, third
      set_immediate(function()
        log("first")
        tide.clear_immediate(second)
        micro(function() tide.clear_immediate(third) end)
      end)
      second = set_immediate(log, "second")
      third = set_immediate(log, "third")
      set_immediate(log, "fourth")
    end,
    js = [[
      let second, third;
      setImmediate(() => {
        log("first"); clearImmediate(second); queueMicrotask(() => clearImmediate(third));
      });
      second = setImmediate(log, "second");
      third = setImmediate(log, "third");
      setImmediate(log, "fourth");
    ]],
    log = "first, fourth",
  })

  order("S43 runs an immediate after the I/O of the same turn, before any timer", {
    lua = function(log)
      await(fs.stat("."))
      log("stat")
      set_timeout(log, 1, "timer")
      set_immediate(log, "immediate")
      micro(log, "micro")
      busy(5)
    end,
    js = [[
      import { stat } from "node:fs/promises";
      await stat(".");
      log("stat");
      setTimeout(log, 1, "timer");
      setImmediate(log, "immediate");
      queueMicrotask(() => log("micro"));
      busy(5);
    ]],
    log = "stat, micro, immediate, timer",
  })

  order("S05 wakes sleepers by the time they sleep", {
    lua = function(log)
      local nap = async(function(name, ms)
        log(name, "sleeps")
        await(sleep(ms))
        log(name, "wakes")
        return name
      end)
      spawn(function()
        log(tide.join(nap("a", 60), nap("b", 1), nap("c", 30)))
      end)
      log("sync")
    end,
    js = [[
      const nap = async (name, ms) => {
        log(name, "sleeps"); await sleep(ms); log(name, "wakes"); return name;
      };
      (async () => log(...(await Promise.all([nap("a", 60), nap("b", 1), nap("c", 30)]))))();
      log("sync");
    ]],
    log = "a sleeps, b sleeps, c sleeps, sync, b wakes, c wakes, a wakes, a b c",
  })
end)

describe("the order of unhandled rejections", function()
  after_each(leak.check)

  local function report(log)
    tide.on_unhandled_rejection(function(reason) log("unhandled", reason) end)
    tide.on_rejection_handled(function() log("handled") end)
  end

  local REPORT = [[
process.on("unhandledRejection", (reason) => log("unhandled", reason));
process.on("rejectionHandled", () => log("handled"));
]]

  order("S47 is looked at when the microtasks have drained, before timers and immediates", {
    lua = function(log)
      report(log)
      set_timeout(log, 1, "timer")
      set_immediate(log, "immediate")
      Promise.reject("a")
      micro(function()
        log("m1")
        micro(log, "m2")
      end)
      spawn(function()
        await(nil)
        error("b", 0)
      end)
      log("sync")
      busy(5)
    end,
    js = REPORT .. [[
      setTimeout(log, 1, "timer");
      setImmediate(log, "immediate");
      Promise.reject("a");
      queueMicrotask(() => { log("m1"); queueMicrotask(() => log("m2")); });
      (async () => { await null; throw "b"; })();
      log("sync");
      busy(5);
    ]],
    log = "sync, m1, m2, unhandled a, unhandled b, timer, immediate",
  })

  order("S47 is none when a microtask attaches a handler in time", {
    lua = function(log)
      report(log)
      local a, b = Promise.reject("a"), Promise.reject("b")
      micro(function()
        micro(function()
          a:catch(function(e) log("caught", e) end)
        end)
      end)
      set_timeout(function()
        b:catch(function(e) log("caught", e) end)
      end, 1)
    end,
    js = REPORT .. [[
      const a = Promise.reject("a"), b = Promise.reject("b");
      queueMicrotask(() => queueMicrotask(() => a.catch((e) => log("caught", e))));
      setTimeout(() => b.catch((e) => log("caught", e)), 1);
    ]],
    log = "caught a, unhandled b, caught b, handled",
  })

  order("S47 reports the end of a chain, not what has a handler", {
    lua = function(log)
      report(log)
      local p = Promise.reject("chain")
      p:next(log):next(log):finally(function() log("finally") end)
      Promise.all({ Promise.reject("all 1"), Promise.reject("all 2") })
      spawn(function() await(Promise.reject("await")) end)
    end,
    js = REPORT .. [[
      const p = Promise.reject("chain");
      p.then(log).then(log).finally(() => log("finally"));
      Promise.all([Promise.reject("all 1"), Promise.reject("all 2")]);
      (async () => { await Promise.reject("await"); })();
    ]],
    log = "finally, unhandled all 1, unhandled await, unhandled chain",
  })

  order("S47 is looked at after each timer and each immediate", {
    lua = function(log)
      report(log)
      for i = 1, 2 do
        set_timeout(function()
          log("timer", i)
          Promise.reject("timer " .. i)
          micro(log, "micro", i)
        end, 1)
        set_immediate(function()
          log("immediate", i)
          Promise.reject("immediate " .. i)
        end)
      end
      busy(5)
    end,
    js = REPORT .. [[
      for (let i = 1; i <= 2; i++) {
        setTimeout(() => {
          log("timer", i);
          Promise.reject("timer " + i);
          queueMicrotask(() => log("micro", i));
        }, 1);
        setImmediate(() => { log("immediate", i); Promise.reject("immediate " + i); });
      }
      busy(5);
    ]],
    log = [[timer 1, micro 1, unhandled timer 1, timer 2, micro 2, unhandled timer 2,
      immediate 1, unhandled immediate 1, immediate 2, unhandled immediate 2]],
  })

  order("S47 takes the list once per pass: what the handler does waits for the next", {
    lua = function(log)
      local count = 0
      tide.on_unhandled_rejection(function(reason)
        log("unhandled", reason)
        count = count + 1
        if count == 1 then
          micro(log, "micro of handler")
          Promise.reject("c")
        end
      end)
      Promise.reject("a")
      Promise.reject("b")
      set_immediate(log, "immediate")
    end,
    js = [[
      let count = 0;
      process.on("unhandledRejection", (reason) => {
        log("unhandled", reason);
        if (++count === 1) {
          queueMicrotask(() => log("micro of handler"));
          Promise.reject("c");
        }
      });
      Promise.reject("a");
      Promise.reject("b");
      setImmediate(log, "immediate");
    ]],
    log = "unhandled a, unhandled b, micro of handler, unhandled c, immediate",
  })

  order("S47 reports what had no handler when the list was taken", {
    lua = function(log)
      local b
      tide.on_unhandled_rejection(function(reason)
        log("unhandled", reason)
        if b then
          b:catch(function(e) log("caught", e) end)
          b = nil
        end
      end)
      tide.on_rejection_handled(function() log("handled") end)
      Promise.reject("a")
      b = Promise.reject("b")
      Promise.reject("c")
    end,
    js = [[
      let b;
      process.on("unhandledRejection", (reason) => {
        log("unhandled", reason);
        if (b) { b.catch((e) => log("caught", e)); b = null; }
      });
      process.on("rejectionHandled", () => log("handled"));
      Promise.reject("a");
      b = Promise.reject("b");
      Promise.reject("c");
    ]],
    log = "unhandled a, unhandled b, unhandled c, caught b",
  })

  order("S47 reports late handlers after the microtasks, before new rejections", {
    lua = function(log)
      report(log)
      local a = Promise.reject("a")
      set_immediate(function()
        log("immediate")
        Promise.reject("b")
        a:catch(function() log("caught a") end)
        micro(log, "micro")
      end)
    end,
    js = REPORT .. [[
      const a = Promise.reject("a");
      setImmediate(() => {
        log("immediate");
        Promise.reject("b");
        a.catch(() => log("caught a"));
        queueMicrotask(() => log("micro"));
      });
    ]],
    log = "unhandled a, immediate, caught a, micro, handled, unhandled b",
  })

  order("S47 does not hold up a top-level await that is next", {
    lua = function(log)
      report(log)
      Promise.reject("a")
      log("one", await(1))
      Promise.reject("b")
      await(sleep(1))
      log("two")
      Promise.reject("c")
    end,
    js = REPORT .. [[
      Promise.reject("a");
      log("one", await 1);
      Promise.reject("b");
      await sleep(1);
      log("two");
      Promise.reject("c");
    ]],
    log = "one 1, unhandled a, unhandled b, two, unhandled c",
  })
end)
