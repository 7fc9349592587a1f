---@meta _
--- `require "moontide.stdio"`. What holds everywhere is said in moontide.lua.

--- The standard streams of the process, each opened when it is first asked for: terminals, pipes,
--- sockets and files alike. Asking raises a moontide.SystemError if the process has none.
---@class moontide.stdio
---@field stdin moontide.Stream
---@field stdout moontide.Stream
---@field stderr moontide.Stream
local stdio = {}
