---@meta _
--- `require "moontide.process"`. What holds everywhere is said in moontide.lua.

--- Programs that run as children of this process.
---@class moontide.process
local process = {}

---@class moontide.process.Options: moontide.Options
---@field cwd? string directory in which it is started
---@field env? { [string]: string|number } its whole environment; default: that of the process.
---`os.environ()` of `moontide.os` gives that as a table, to be changed and given here
---@field uid? integer user as whom it runs; its supplementary groups are dropped
---@field gid? integer group as which it runs
---@field detached? boolean it has a session of its own and belongs to no group: see docs/io.md
---@field input? string|number written to its standard input, which then ends; instead of `stdin`
---@field stdin? moontide.process.Stdio
---@field stdout? moontide.process.Stdio
---@field stderr? moontide.process.Stdio
---@field kill_grace? number ms between SIGTERM and SIGKILL when it is cancelled; 0: SIGKILL at once;
---math.huge: never. Default 5000

--- What the child has as one of its standard streams: what this process has there (the default of
--- spawn); a pipe, whose other end is the field of the child; /dev/null; a stream, which is the
--- child's from then on; a file of `moontide.fs` or of Lua's, whose buffer is written first; a
--- descriptor.
---@alias moontide.process.Stdio
---| "inherit"
---| "pipe"
---| "null"
---| moontide.Stream
---| moontide.fs.File
---| file*
---| integer

--- Starts a program, without a shell: the arguments are what it gets, whatever characters they
--- have. A command without a slash is looked for in the PATH of the child. An abort tells the child
--- to end, and so does its group when it is cancelled or over but for it; the group waits until the
--- child has been reaped.
--- Rejects with a moontide.SystemError: `syscall` is "chdir" if `cwd` is to blame, else "spawn".
--- Source: uv_spawn.
---@param command string
---@param arguments? (string|number)[]
---@param options? moontide.process.Options
---@return moontide.Promise<moontide.Child> promise settled already
---@nodiscard
function process.spawn(command, arguments, options) end

--- What became of a child: it has one of the two.
---@class moontide.process.Outcome
---@field code? integer what it has returned
---@field signal? string name of the signal that ended it: "SIGKILL", ...

---@class moontide.process.Exec: moontide.process.Options
---@field limit? number bytes, of stdout and stderr each; default 16 MiB
---@field check? boolean whether it is an error that the program does not return 0

---@class moontide.process.Result: moontide.process.Outcome
---@field stdout? string what it has written there, if that is a pipe
---@field stderr? string

--- A program that was to succeed did not; with the fields of the moontide.process.Result. The
--- message has the first line of its stderr.
---@class moontide.ExitError: moontide.Error, moontide.process.Result

--- Runs a program to its end: what it has written, and how it ended. Its input is empty unless
--- there is an option; stdout and stderr are read to their ends, which do not come as long as any
--- process has them, be it one that the program has left behind.
--- Rejects with a moontide.SystemError if it cannot be started; with a LimitError if it writes more
--- than the limit; with the reason of an abort; with a moontide.ExitError if that is wanted: always
--- after the child has been reaped.
---@param command string
---@param arguments? (string|number)[]
---@param options? moontide.process.Exec
---@return moontide.Promise<moontide.process.Result>
---@nodiscard
function process.exec(command, arguments, options) end

--- A child process. A `<close>` variable closes its pipes, tells it to end, as an abort does, and
--- does not wait.
---@class moontide.Child
---@field pid integer
---@field stdin? moontide.Stream where that is a pipe: to be written and closed
---@field stdout? moontide.Stream
---@field stderr? moontide.Stream
local Child = {}

--- Fulfilled when the child has ended and been reaped; also after that. An abort of the wait leaves
--- the child alone.
---@param options? moontide.Options
---@return moontide.Promise<moontide.process.Outcome>
---@nodiscard
function Child:wait(options) end

--- Sends it a signal. Raises a moontide.SystemError if that is forbidden.
--- Source: POSIX, kill(2).
---@param name? string|0 with or without SIG, default "SIGTERM"; 0 sends none, and only asks
---@return boolean there whether it had not been reaped
function Child:kill(name) end
