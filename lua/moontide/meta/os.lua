---@meta _
--- `require "moontide.os"`. What holds everywhere is said in moontide.lua.

--- Facts about the system and the process, given at once: only `random_bytes` returns a promise.
--- What the system does not tell is raised, as a moontide.SystemError. Source: Node, os.
---@class moontide.os
local system = {}

---@return string
function system.hostname() end

--- Times are since the system began.
---@class moontide.os.Times
---@field user integer
---@field nice integer
---@field sys integer
---@field idle integer
---@field irq integer

---@class moontide.os.Cpu
---@field model string
---@field speed integer MHz, 0 where it is not known
---@field times moontide.os.Times

---@return moontide.os.Cpu[]
function system.cpus() end

--- How many threads of this process can run at the same time: at least 1.
---@return integer
function system.available_parallelism() end

---@return integer # bytes
function system.total_memory() end

---@return integer # bytes
function system.free_memory() end

--- Of the last 1, 5 and 15 minutes; zeros where the system has none.
---@return number, number, number
function system.load_average() end

---@class moontide.os.Interface
---@field name string
---@field address string
---@field netmask string
---@field family 4|6
---@field scope_id? integer of a link-local address
---@field mac string six bytes: "00:00:5e:00:53:01"
---@field internal boolean whether it leads nowhere but to this machine

--- The addresses of the network interfaces that are up: one entry for each address.
---@return moontide.os.Interface[]
function system.interfaces() end

---@class moontide.os.Uname
---@field sysname string
---@field release string
---@field version string
---@field machine string

---@return moontide.os.Uname
function system.uname() end

--- How long the system has been running.
---@return number # seconds
function system.uptime() end

--- A monotonic clock, of which only differences mean something. Virtual time does not change it.
---@return integer # nanoseconds
function system.hrtime() end

---@return integer
function system.pid() end

---@return integer
function system.ppid() end

--- The user's directory: of the variable HOME, else as in `user`.
---@return string
function system.homedir() end

--- The directory for temporary files: of the variable TMPDIR, TMP, TEMP or TEMPDIR, else "/tmp".
---@return string
function system.tmpdir() end

---@class moontide.os.User
---@field username string
---@field uid integer
---@field gid integer
---@field shell? string
---@field homedir string

--- Whose process this is, by the system's list of users.
---@return moontide.os.User
function system.user() end

--- A variable of the environment. As all of these do, raises for an empty name and one with "="
--- or a NUL in it.
---@param name string
---@return string|nil
function system.getenv(name) end

--- Sets a variable of the environment, for the whole process and those that it starts. Not while
--- another thread uses the environment: a resolver does.
---@param name string
---@param value string without a NUL
function system.setenv(name, value) end

--- Removes a variable of the environment, if it is there. Like `setenv`.
---@param name string
function system.unsetenv(name) end

--- All variables of the environment. A copy.
---@return table<string, string>
function system.environ() end

--- So many bytes from the system's generator, fit for keys. Up to 256 are got at once, and the
--- promise is settled already; more, in the thread pool. Source: Node, crypto.randomBytes.
---@param n integer 0 to 2147483647
---@param options? moontide.Options
---@return moontide.Promise<string>
---@nodiscard
function system.random_bytes(n, options) end
