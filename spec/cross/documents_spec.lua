-- The programs in docs/: each complete one, that begins by requiring moontide, runs as it stands.
-- It prints what stands below it; without that, it ends well and writes nothing to stderr. Those in
-- README.md are run by `make examples`.
local child = require "spec.support.child"
local programs = dofile "tools/programs.lua"

local DOCUMENTS = {
  "command", "concurrency", "debugging", "embedding", "http", "internals", "io", "porting",
  "semantics", "testing",
}

-- What is not run here, by a text in it, and why.
local NOT_RUN = {
  ["require \"ssl.https\""] = "needs a server: spec/luasec_spec.lua",
  ["require \"redis\""] = "needs servers: spec/luasocket/clients_spec.lua",
}

-- What is no program, by its first line: the text above it says what it needs.
local FRAGMENTS = {
  "return {", -- a file .busted
  'local stream <close> = await(net.connect { host = "example.org", port = 443, tls = true })',
}

local function is_fragment(first_line)
  for _, known in ipairs(FRAGMENTS) do
    if known == first_line then
      return true
    end
  end
end

local function reason_not_to_run(text)
  for part, reason in pairs(NOT_RUN) do
    if text:find(part, 1, true) then
      return reason
    end
  end
end

for _, name in ipairs(DOCUMENTS) do
  describe("docs/" .. name .. ".md", function()
    for i, program in ipairs(programs.of("docs/" .. name .. ".md")) do
      if not reason_not_to_run(program.text) then
        it("has a program that runs, " .. i, function()
          local output = programs.run(child.lua, program.text, program.output)
          if program.output then
            assert.equal(programs.without_times(program.output), output)
            return
          end
          assert.is_nil(output:match("%[stderr%]\n.*"))
          assert.is_nil(output:match("%[exit %d+%]"), output)
          assert.is_nil(output:match("%[signal %d+%]"), output)
        end)
      end
    end
  end)
end

describe("every block of Lua", function()
  for _, name in ipairs(DOCUMENTS) do
    it("is a program, or known not to be one, in docs/" .. name .. ".md", function()
      local text = "\n" .. programs.read("docs/" .. name .. ".md")
      local count = #programs.of("docs/" .. name .. ".md")
      for block in text:gmatch("\n```lua\n(.-)\n```") do
        local first = block:match("[^\n]*")
        if is_fragment(first) then
          assert.is_truthy(load(block))
        else
          count = count - 1
        end
      end
      assert.equal(0, count)
    end)
  end
end)

describe("the table of what is not run", function()
  it("has nothing that is not there", function()
    for part in pairs(NOT_RUN) do
      local found = false
      for _, name in ipairs(DOCUMENTS) do
        found = found or programs.read("docs/" .. name .. ".md"):find(part, 1, true) ~= nil
      end
      assert.is_true(found, part)
    end
  end)
end)
