-- The programs in spec/diagnostics: what can be seen before they run.
local check = require "moontide.check.check"
local declarations = require "moontide.check.declarations"
local files = require "moontide.check.files"
local leak = require "spec.support.leak"
local parser = require "moontide.check.parser"

local FOLDER = "spec/diagnostics"

-- Those that have a mistake in their text. Of the others only a run shows who fails or waits.
local FOUND = {
  "auction", "call_in_place", "callback", "card", "closed_file", "door", "for_each", "greeting",
  "invoice", "listing", "log_line", "lost_permit", "missing_return", "not_called",
  "page_iterator", "pause", "pcall_call", "plain_callback", "price_tags", "profile", "ranking",
  "release_twice", "save", "second_loop", "status", "template", "upload", "work_list",
}

local function name_of(path)
  return path:match("([^/]*)%.lua$")
end

local function is_clean(path)
  return path:find("%.clean%.lua$") ~= nil
end

describe("moontide check of spec/diagnostics", function()
  local found = {}

  setup(function()
    assert(parser.is_there(), "luacheck is not installed")
    declarations.load()
    for _, finding in ipairs(check.check(files.list { FOLDER })) do
      found[name_of(finding.path)] = ("%d: %s"):format(finding.line, finding.message)
    end
  end)

  after_each(leak.check)

  it("finds something in each that has a mistake in its text", function()
    for _, name in ipairs(FOUND) do
      assert.is_string(found[name], name)
    end
  end)

  it("finds nothing in their clean twins", function()
    for _, path in ipairs(files.list { FOLDER }) do
      if is_clean(path) then
        assert.is_nil(found[name_of(path)], path)
      end
    end
  end)
end)
