-- The examples that are pages, in a browser.
local background = require "spec.support.background"
local browser = require "spec.support.browser"
local child = require "spec.support.child"
local devtools = require "spec.support.devtools"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local process = require "moontide.process"
local tide = require "moontide"

local await = tide.await

if not browser.path then
  print("no browser: the pages of the examples are not looked at")
  return
end

describe("a page of the examples", function()
  local server, page, base

  --- Starts an example that serves, and opens its page.
  local function open(name)
    local port = background.free_port()
    server = await(process.spawn(child.lua, { "bin/moontide", "examples/" .. name .. ".lua", port },
      { stdout = "pipe" }))
    assert.equal("listening on port " .. port, await(server.stdout:read_line()))
    base = "127.0.0.1:" .. port
    page = devtools.open("http://" .. base .. "/")
  end

  --- Ends it in good order, while the page is open.
  local function stop()
    server:kill("SIGTERM")
    assert.equal(0, await(server:wait()).code)
  end

  after_each(function()
    if page then page:close() end
    if server then
      server:kill("SIGKILL")
      await(server:wait())
      await(server.stdout:close())
    end
    page, server = nil, nil
    files.remove()
    leak.check()
  end)

  it("shows the time, which goes on, and that the server is away", function()
    open "clock"
    page:eventually [[/^\d\d:\d\d:\d\d$/.test(document.getElementById("time")?.textContent)]]
    assert.equal("the server's time", page:eval [[document.getElementById("state").textContent]])
    local first = page:eval [[document.getElementById("time").textContent]]
    page:eventually(([[document.getElementById("time").textContent !== "%s"]]):format(first))
    stop()
    page:eventually [[document.getElementById("state").textContent === "the server is away"]]
  end)

  it("lets people chat, and shows what they say as text", function()
    open "web_chat"
    page:eventually [[typeof socket !== "undefined" && socket.readyState === 1]]
    local function say(text)
      page:eval(([[text.value = %q; document.querySelector("button").click()]]):format(text))
    end
    local function sees(line)
      page:eventually(([[said.lastChild?.textContent === %q]]):format(line))
    end
    say "Ann"
    sees "Ann is here"
    local ben = await(http.websocket("ws://" .. base .. "/chat"))
    await(ben:send("Ben"))
    sees "Ben is here"
    assert.equal("Ben is here", (await(ben:receive())))
    say "hello, <b>Ben</b>"
    sees "Ann: hello, <b>Ben</b>"
    assert.equal("Ann: hello, <b>Ben</b>", (await(ben:receive())))
    await(ben:close())
    sees "Ben has left"
    stop()
    sees "the connection has ended"
  end)
end)
