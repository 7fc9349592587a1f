--- A page of a server in a browser without a window, driven over the DevTools protocol, whose
--- messages go through two pipes.
local browser = require "spec.support.browser"
local files = require "spec.support.files"
local json = require "dkjson"
local process = require "moontide.process"
local tide = require "moontide"

local await = tide.await

local M = {}

-- It reads messages from the descriptor 3 and writes them to 4.
local PIPES = "exec %s 3<&0 4>&1 </dev/null >/dev/null 2>&1"

local PATIENCE = 60000 -- ms

---@class spec.Page
local Page = {}
Page.__index = Page

--- The answer to a command; what else the browser says is not listened to.
local function call(self, method, parameters)
  self._last = self._last + 1
  await(self._child.stdin:write(json.encode({
    id = self._last, method = method, params = parameters, sessionId = self._session,
  }), "\0"))
  while true do
    local text = await(self._child.stdout:read_until("\0", { limit = 1 << 24 }))
    local answer = json.decode((assert(text, "the browser has gone"):sub(1, -2)))
    if answer.id == self._last then
      return answer.result or error(answer.error.message)
    end
  end
end

local function start()
  local command = browser.command(files.directory(), "--remote-debugging-pipe", "about:blank")
  return await(process.spawn("sh", { "-c", PIPES:format(command) },
    { stdin = "pipe", stdout = "pipe" }))
end

--- Opens the address; `page:close()` ends the browser, `files.remove()` removes what it has left.
---@param url string
---@return spec.Page
function M.open(url)
  local self = setmetatable({ _last = 0, _child = start() }, Page)
  local target = call(self, "Target.createTarget", { url = url }).targetId
  local attached = { targetId = target, flatten = true }
  self._session = call(self, "Target.attachToTarget", attached).sessionId
  return self
end

--- What an expression of JavaScript gives in the page.
---@param expression string
---@return any
function Page:eval(expression)
  local result = call(self, "Runtime.evaluate", {
    expression = expression, returnByValue = true, awaitPromise = true,
  })
  if result.exceptionDetails then error(result.exceptionDetails.exception.description, 0) end
  return result.result.value
end

--- Waits until an expression is true in the page.
---@param expression string
function Page:eventually(expression)
  files.eventually(function() return self:eval(expression) end, PATIENCE)
end

function Page:close()
  self._child:kill("SIGTERM")
  await(self._child:wait())
  await(self._child.stdin:close())
  await(self._child.stdout:close())
end

return M
