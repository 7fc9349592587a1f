---@meta _
--- `require "moontide.busted"`. What holds everywhere is said in moontide.lua.

--- What specs may say to the helper. Only under busted, loaded as its helper.
---@class moontide.busted
local busted_helper = {}

--- Sets how long a test may take, counted from its beginning, and how long its before_each and
--- after_each may: called in a test or a before_each, for that test; elsewhere, for the block or
--- the file that is being run. Raises for a number that is not positive.
---@param ms number math.huge for no limit
function busted_helper.timeout(ms) end

--- Called in a test or its before_each: async functions that wait for nothing that could come are
--- no failure of this test.
function busted_helper.allow_suspended() end
