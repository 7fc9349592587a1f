--- Looks for mistakes in files, and lists them.
local arguments = require "moontide.check.arguments"
local calls = require "moontide.check.calls"
local awaiting = require "moontide.check.awaiting"
local chains = require "moontide.check.chains"
local functions = require "moontide.check.functions"
local hints = require "moontide.check.hints"
local ignore = require "moontide.check.ignore"
local objects = require "moontide.check.objects"
local permits = require "moontide.check.permits"
local project = require "moontide.check.project"
local promises = require "moontide.check.promises"

local M = {}

local RULES = { promises, arguments, awaiting, functions, chains, objects, permits, hints }

---@class moontide.check.Finding
---@field path string
---@field line integer
---@field column integer
---@field code string "T101"; hints begin with T2
---@field message string

calls.set_loader(project.module)

local function finding_at(scope, node, code, message)
  return {
    path = scope.path,
    line = node.line,
    column = node.offset - scope.text.starts[node.line] + 1,
    code = code,
    message = message,
  }
end

local function check_scope(findings, scope)
  local ignored = ignore.read(scope.text, function(code, node, message)
    findings[#findings + 1] = finding_at(scope, node, code, message)
  end)
  local function report(code, node, message)
    local finding = finding_at(scope, node, code, message)
    if not ignore.covers(ignored, finding) then
      findings[#findings + 1] = finding
    end
  end
  for _, rule in ipairs(RULES) do
    rule.check(scope, report)
  end
end

local function check_file(findings, path)
  local scope, problem = project.scope(path)
  if problem then
    findings[#findings + 1] = { path = path, line = problem.line, column = problem.column,
      code = "T001", message = problem.message }
  elseif scope then
    check_scope(findings, scope)
  end
end

local function comes_before(one, other)
  if one.path ~= other.path then
    return one.path < other.path
  elseif one.line ~= other.line then
    return one.line < other.line
  elseif one.column ~= other.column then
    return one.column < other.column
  end
  return one.code < other.code
end

--- What is found in the files, in their order. Raises for one that cannot be read.
---@param paths string[]
---@return moontide.check.Finding[]
function M.check(paths)
  project.begin(paths)
  local findings, wanted = {}, {}
  for _, path in ipairs(paths) do
    if project.is_concerned(path) or not project.is_valid(path) then
      wanted[#wanted + 1] = path
    end
  end
  for _, path in ipairs(wanted) do
    check_file(findings, path)
  end
  table.sort(findings, comes_before)
  return findings
end

return M
