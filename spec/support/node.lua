--- Runs the JavaScript twin of a spec, where node is installed.
local child = require "spec.support.child"

local M = {}

-- What every twin may use. The log is kept until the end, so that printing it costs no order.
-- A module that node reads from its input starts amid the poll phase; the turn that is waited for
-- puts it where a script starts, with timers coming next.
local PRELUDE = [[
import { writeSync } from "node:fs";
const lines = [];
const show = (value) => {
  if (value === undefined || value === null) return "nil";
  if (value instanceof Error) return value.name;
  return String(value);
};
const log = (...values) => { lines.push(values.map(show).join(" ")); };
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const busy = (ms) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};
process.on("exit", () => {
  const text = Buffer.from(lines.map((line) => line + "\n").join(""));
  for (let at = 0; at < text.length;) at += writeSync(1, text, at);
});
await new Promise((resolve) => { setImmediate(resolve); });
]]

-- A sanitizer's runtime that is preloaded for the Lua process must not reach node.
local NODE = "env -u LD_PRELOAD node --input-type=module"

local version = child.shell("env -u LD_PRELOAD node --version")

--- Whether there is a node to ask.
M.available = version.code == 0

--- The first part of its version.
---@type integer?
M.version = tonumber(version.out:match("^v(%d+)"))

M.absent = "node is not installed: the order is asserted, but not compared with node's"

--- The lines that an ES module logs, with `log`, `sleep`, `busy` and top-level await at hand.
---@param source string
---@return string[]
function M.run(source)
  local result = child.with_file(PRELUDE .. source, function(path)
    return child.shell(NODE, path)
  end)
  if result.code ~= 0 then
    error("the twin failed:\n" .. result.err, 2)
  end
  local lines = {}
  for line in result.out:gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

return M
