--- The checks of what public functions are called with, for those that are written in Lua: the
--- core's. What is raised has the position of the first caller outside this library's files.
local core = require "moontide.core"

---@class moontide.internal.argument
---@field check fun(kind: string, value: any, position: integer, name: string) raises unless value
---is of the kind, for an argument of the public function of that name; a kind that ends in "?" is
---also nil
---@field check_options fun(options: table?, fields: string[][], position: integer, name: string)
---each of the fields is {name, kind}
---@field problem fun(options: table?, fields: string[][]): string? what check_options would raise
---@field check_self fun(self: any, metatable: table, name: string)
---@field expected fun(what: string, value: any, position: integer, name: string) raises that
---@field fail fun(text: string, position: integer, name: string) raises that
---@field where fun(): string that position, as it stands before a message
---@field name_of fun(f: function): string the public name of a function that is written in C here
local argument = core.argument

-- The library's own files are in no trace either.
local library = debug.getinfo(1, "S").source:match("^(@.*[/\\])internal[/\\][^/\\]*$")
if library then
  core.hide_source(library)
end

return argument
