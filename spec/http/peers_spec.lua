-- The server and programs that many use.
local tide = require "moontide"
local browser = require "spec.support.browser"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local peers = require "spec.support.peers"

local await = tide.await

local PAGE = [[
<!doctype html><title>page</title><pre id="log"></pre><img src="/wait">
<script>
const lines = [];
const show = (...values) => lines.push(values.join(" "));
(async () => {
  const hello = await fetch("/hello?name=moon");
  show(hello.status, hello.headers.get("content-type"), await hello.text());
  const posted = await fetch("/json", { method: "POST", body: JSON.stringify({ a: [1, 2] }) });
  show(posted.status, JSON.stringify(await posted.json()));
  const form = new FormData();
  form.append("text", "a \"quoted\" text");
  form.append("file", new File(["x".repeat(100000)], 'a"b.txt', { type: "text/x" }));
  show(await (await fetch("/form", { method: "POST", body: form })).text());
  let text = "";
  const decoder = new TextDecoder();
  const reader = (await fetch("/pieces")).body.getReader();
  for (let step; !(step = await reader.read()).done;) text += decoder.decode(step.value);
  show(text);
  const range = await fetch("/file", { headers: { Range: "bytes=2-4" } });
  show(range.status, await range.text());
  show((await fetch("/redirect")).url.endsWith("/hello"), (await fetch("/none")).status);
  const many = await Promise.all([...Array(50).keys()].map((i) => fetch("/hello?name=" + i)));
  show(many.length, (await Promise.all(many.map((r) => r.text()))).join("").length);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 10);
  try { await fetch("/never", { signal: controller.signal }); } catch (e) { show(e.name); }
})().catch((error) => show("failed: " + error.stack)).finally(() => {
  if (!globalThis.document) return console.log(lines.join("\n"));
  document.getElementById("log").textContent = lines.join("\n");
  return fetch("/finished");
});
</script>
]]

local EXPECTED = [[
200 text/plain; charset=utf-8 hello, moon
200 {"a":[1,2]}
text=a "quoted" text;file=a"b.txt text/x 100000;
1;2;3;
206 234
true 404
50 440
AbortError]]

local routes = {}

routes["/"] = function() return { html = PAGE } end

routes["/hello"] = function(request)
  return "hello, " .. (request.query:get("name") or "you")
end

routes["/json"] = function(request) return { json = await(request:json()) } end

routes["/form"] = function(request)
  local told = {}
  for part in request:multipart() do
    local text = await(part:text())
    told[#told + 1] = part.filename
      and ("%s=%s %s %d;"):format(part.name, part.filename, part.type, #text)
      or ("%s=%s;"):format(part.name, text)
  end
  return table.concat(told)
end

routes["/pieces"] = function()
  local i = 0
  return { body = function()
    i = i + 1
    await(tide.sleep(1))
    return i <= 3 and i .. ";" or nil
  end }
end

routes["/redirect"] = function() return http.redirect("/hello") end

local left = 0
local finished = tide.event()

-- The page is not loaded before its script is through.
routes["/wait"] = function()
  await(finished:wait())
  return ""
end

routes["/finished"] = function()
  finished:set()
  return ""
end

routes["/never"] = function(request)
  local gone = tide.event()
  request.signal:on_abort(function() gone:set() end)
  await(gone:wait())
  left = left + 1
  return "nobody reads this"
end

--- f(port, directory) while the server runs that has these routes.
local function with_server(f)
  local directory = files.directory()
  files.write(directory .. "/file", "0123456789")
  routes["/file"] = function() return { file = directory .. "/file" } end
  local errors = {}
  local service = await(http.serve({ host = "127.0.0.1", on_error = function(reason)
    errors[#errors + 1] = tostring(reason)
  end }, function(request)
    local route = routes[request.path]
    return route and route(request) or { status = 404 }
  end))
  f(service:address().port, directory)
  await(service:close({ grace = 0 }))
  assert.same({}, errors)
end

local function has(command)
  return peers.run("which " .. command).code == 0
end

describe("http.serve serves", function()
  if not pcall(require, "moontide.llhttp_core") then
    return pending("built without llhttp")
  end

  after_each(function()
    files.remove()
    leak.check()
  end)

  it("curl", function()
    with_server(function(port, directory)
      local url = "http://127.0.0.1:" .. port
      assert.equal("hello, moon", peers.run("curl -sS " .. url .. "/hello?name=moon").out)
      assert.equal("hello, you", peers.run("curl -sS -L " .. url .. "/redirect").out)
      assert.equal("hello, you", peers.run("curl -sS --http1.0 " .. url .. "/hello").out)
      assert.equal("234", peers.run("curl -sS -r 2-4 " .. url .. "/file").out)
      local form = ("curl -sS -F a=b -F 'f=@%s/file;filename=x;type=text/y' %s/form")
        :format(directory, url)
      assert.equal("a=b;f=x text/y 10;", peers.run(form).out)
      files.write(directory .. "/body", '["' .. ("x"):rep(200000) .. '"]')
      local json = ("curl -sS -T %s/body -H 'Transfer-Encoding: chunked' %s/json")
        :format(directory, url)
      assert.equal(200004, #peers.run(json).out)
    end)
  end)

  it("wrk, as fast as it can", function()
    if not has("wrk") then
      return pending("no wrk")
    end
    with_server(function(port)
      local told = peers.run(("wrk -t1 -c32 -d1s http://127.0.0.1:%d/hello"):format(port)).out
      assert.is_true(tonumber(told:match("(%d+) requests in")) > 100)
      assert.not_matches("Non%-2xx", told)
      assert.not_matches("Socket errors", told)
    end)
  end)

  it("node's fetch", function()
    if not has("node") or tonumber(peers.run("node --version").out:match("%d+")) < 20 then
      return pending("no node of these days")
    end
    with_server(function(port, directory)
      local script = PAGE:match("<script>\n(.-)</script>")
        :gsub('fetch%("', ('fetch("http://127.0.0.1:%d'):format(port))
      files.write(directory .. "/script.mjs", script)
      left = 0
      local result = peers.run("node " .. directory .. "/script.mjs")
      assert.equal(EXPECTED .. "\n", result.out, result.err)
      files.eventually(function() return left == 1 end)
    end)
  end)

  it("a browser", function()
    if not browser.path then
      return pending("no browser")
    end
    with_server(function(port, directory)
      left = 0
      local command = browser.command(directory .. "/profile", "--dump-dom",
        ("http://127.0.0.1:%d/"):format(port))
      local dom = peers.run(command).out
      local log = dom:match('<pre id="log">(.-)</pre>') or dom
      assert.equal(EXPECTED, (log:gsub("&quot;", '"')))
      files.eventually(function() return left == 1 end)
    end)
  end)
end)
