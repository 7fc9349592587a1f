-- The programs of examples/hosts: hosts with a loop of their own.
local child = require "spec.support.child"
local compile = require "spec.support.compile"
local files = require "spec.support.files"
local tide = require "moontide"
local net = require "moontide.net"
local environ = require("moontide.os").environ
local process = require "moontide.process"

local await = tide.await

describe("a host in C", function()
  after_each(files.remove)

  it("answers its input and turns the loop in between", function()
    local folder = files.directory()
    local program = folder .. "/host"
    compile.program("examples/hosts/poll.c", program)
    local command = child.command(program):gsub(child.quote(child.lua) .. " ", "", 1)
    local input = "(printf 'one\\ntwo\\n'; sleep 0.05; echo three)"
    local result = child.shell(("{ %s | %s; }"):format(input, command))
    assert.equal("", result.err)
    assert.equal("answer to three\nanswer to two\nanswer to one\n", result.out)
    assert.equal(0, result.code)
  end)
end)

local CONFIG = [[
run_as_root = true
daemonize = false
pidfile = "FOLDER/prosody.pid"
data_path = "FOLDER"
plugin_paths = { "ROOT/examples/hosts" }
modules_enabled = { "moontide" }
modules_disabled = { "c2s", "s2s", "offline" }
log = { { levels = { min = "info" }, to = "console" } }
moontide_fetch_port = PORT
VirtualHost "localhost"
]]

describe("prosody", function()
  after_each(files.remove)

  local root = child.shell("pwd").out:gsub("%s+$", "")
  local path = child.shell("command -v prosody").out:gsub("%s+$", "")

  local function absolute(text)
    return (text:gsub("%f[^;\0]%./", root .. "/"))
  end

  local function start(port)
    local folder = files.directory()
    local config = CONFIG:gsub("%u%u%u%u+", { FOLDER = folder, ROOT = root, PORT = port })
    files.write(folder .. "/prosody.cfg.lua", config)
    local env = environ()
    env.HOME = folder
    env.LUA_PATH_5_4, env.LUA_CPATH_5_4 = absolute(package.path), absolute(package.cpath)
    local arguments = { path, "-F", "--config", folder .. "/prosody.cfg.lua" }
    return await(process.spawn(child.lua, arguments, {
      env = env,
      stdout = "pipe",
      stderr = "pipe",
    }))
  end

  it("has a module fetch something on its loop", function()
    if path == "" then
      pending("prosody is not there")
    end
    local asked = {}
    await(tide.group(function(g)
      local server = await(net.serve({ host = "127.0.0.1", port = 0 }, function(stream)
        local line = await(stream:read_line())
        asked[#asked + 1] = line
        await(stream:write(line:upper() .. "\n"))
      end))
      local prosody <close> = start(server:address().port)
      local fetched = {}
      for line in prosody.stdout:lines() do
        fetched[#fetched + 1] = line:match("fetched (.*)")
        if #fetched == 2 then break end
      end
      prosody:kill()
      assert.same({ "AT THE START", "IN A TIMER OF PROSODY'S" }, fetched)
      assert.same({ "at the start", "in a timer of prosody's" }, asked)
      await(prosody:wait())
      g:cancel()
    end):catch(function(err)
      if err.name ~= "AbortError" then error(err, 0) end
    end))
  end)
end)
