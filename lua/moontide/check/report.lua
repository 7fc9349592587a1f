--- Findings as text.
local M = {}

local function plain(findings)
  local lines = {}
  for i, finding in ipairs(findings) do
    lines[i] = ("%s:%d:%d: (%s) %s\n"):format(finding.path, finding.line, finding.column,
      finding.code, finding.message)
  end
  return table.concat(lines)
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" }

--- JSON is UTF-8, which names of files need not be.
local function quote(text)
  if not utf8.len(text) then
    text = text:gsub("[\128-\255]+", "\u{fffd}")
  end
  return '"' .. text:gsub('[%c"\\]', function(char)
    return ESCAPES[char] or ("\\u%04x"):format(char:byte())
  end) .. '"'
end

local function object(finding)
  return ('{"file": %s, "line": %d, "column": %d, "code": %s, "message": %s}'):format(
    quote(finding.path), finding.line, finding.column, quote(finding.code), quote(finding.message))
end

local function json(findings)
  local objects = {}
  for i, finding in ipairs(findings) do
    objects[i] = object(finding)
  end
  return #objects == 0 and "[]\n" or "[\n  " .. table.concat(objects, ",\n  ") .. "\n]\n"
end

M.FORMATS = { plain = plain, json = json }

return M
