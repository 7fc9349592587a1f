---@meta _
--- `require "moontide.fs"`. What holds everywhere is said in moontide.lua.

--- Files, through libuv's thread pool. All functions reject with a moontide.SystemError. Those that
--- say nothing of a result are fulfilled with nothing. See docs/io.md.
---@class moontide.fs
local fs = {}

--- Reads a whole file. Raises for a path with a NUL in it, as all of these do.
--- Source: Node, fs.readFile.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<string>
---@nodiscard
function fs.read_file(path, options) end

---@class moontide.fs.Making: moontide.Options
---@field mode? integer permissions of what is made, before the umask; default 0666, directories 0777

---@class moontide.fs.Writing: moontide.fs.Making
---@field atomic? boolean whoever opens the path finds it as it was or with all of data: written
---beside it, synced, renamed. Keeps permissions and links; the owner may change

--- Makes the file, or empties it, and writes data.
--- Source: Node, fs.writeFile.
---@param path string
---@param data string|number
---@param options? moontide.fs.Writing an abort meanwhile leaves the file as far as it was written;
---if atomic, as it was, or whole
---@return moontide.Promise
---@nodiscard
function fs.write_file(path, data, options) end

--- Makes the file, unless there is one, and adds data at its end. Source: Node, fs.appendFile.
---@param path string
---@param data string|number
---@param options? moontide.fs.Making
---@return moontide.Promise
---@nodiscard
function fs.append_file(path, data, options) end

--- Cuts the file, or fills it up with zeros. Source: POSIX, truncate.
---@param path string
---@param size? integer default 0
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.truncate(path, size, options) end

--- `for line in fs.lines(path) do` awaits each line, without its "\n". Reads a chunk at a time;
--- closes the file when the loop is left. Raises in the loop what opening or reading rejects with.
---@param path string
---@param options? moontide.Options
---@return moontide.Callable, nil, nil, table # what a for loop takes
function fs.lines(path, options) end

---@alias moontide.fs.Type
---| "file"
---| "directory"
---| "link"
---| "fifo"
---| "socket"
---| "char"
---| "block"
---| "unknown"

--- Times are seconds since 1970, fractions included.
---@class moontide.fs.Stat
---@field type moontide.fs.Type
---@field size integer bytes
---@field mode integer permissions and type, as the system has them
---@field uid integer
---@field gid integer
---@field nlink integer
---@field ino integer
---@field dev integer
---@field blksize integer
---@field blocks integer
---@field atime number
---@field mtime number
---@field ctime number
---@field birthtime number

--- What a path leads to, links followed. Source: Node, fs.stat.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Stat>
---@nodiscard
function fs.stat(path, options) end

--- The same, of a link itself. Source: Node, fs.lstat.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Stat>
---@nodiscard
function fs.lstat(path, options) end

--- Sizes are in blocks of bsize bytes.
---@class moontide.fs.FileSystem
---@field type integer
---@field bsize integer
---@field blocks integer
---@field bfree integer
---@field bavail integer free for users
---@field files integer
---@field ffree integer

--- The file system that a path is on. Source: Node, fs.statfs.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.FileSystem>
---@nodiscard
function fs.statfs(path, options) end

--- Rejects unless the file is there and allows what is asked. Source: POSIX, access.
---@param path string
---@param what? string any of "r", "w" and "x"; default: only that it is there
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.access(path, what, options) end

---@class moontide.fs.Entry
---@field name string
---@field type moontide.fs.Type "unknown" where the file system does not say

--- The entries of a directory, without "." and "..", sorted by name.
--- Source: Node, fs.readdir with file types.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Entry[]>
---@nodiscard
function fs.scandir(path, options) end

--- Opens a directory, to read its entries in parts. Source: Node, fs.opendir.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Directory>
---@nodiscard
function fs.opendir(path, options) end

---@class moontide.fs.Mkdir: moontide.fs.Making
---@field recursive? boolean makes those above it, too, and is content when it is there

--- Makes a directory. Source: Node, fs.mkdir.
---@param path string
---@param options? moontide.fs.Mkdir
---@return moontide.Promise
---@nodiscard
function fs.mkdir(path, options) end

---@class moontide.fs.Rm: moontide.Options
---@field recursive? boolean directories, too, with all in them, up to 1000 in one another. An abort
---leaves what has not been removed yet
---@field force? boolean does not mind that there is nothing

--- Removes what has this name; links are removed, never followed. Source: Node, fs.rm.
---@param path string
---@param options? moontide.fs.Rm
---@return moontide.Promise
---@nodiscard
function fs.rm(path, options) end

--- Removes a name that is no directory's. Source: POSIX, unlink.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.unlink(path, options) end

--- Removes an empty directory. Source: POSIX, rmdir.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.rmdir(path, options) end

--- Moves, and replaces what dest is. Source: POSIX, rename.
---@param path string
---@param dest string
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.rename(path, dest, options) end

---@class moontide.fs.Copying: moontide.Options
---@field exclusive? boolean dest must not exist

--- Copies a file with its permissions, or lets both share their blocks where Linux can.
--- Source: Node, fs.copyFile.
---@param path string
---@param dest string
---@param options? moontide.fs.Copying an abort meanwhile removes dest, as a failure does
---@return moontide.Promise
---@nodiscard
function fs.copy_file(path, dest, options) end

--- Makes dest another name of the file. Source: POSIX, link.
---@param path string
---@param dest string
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.link(path, dest, options) end

--- Makes dest a link with that text. Source: POSIX, symlink.
---@param text string the path that the link leads to, seen from where the link is
---@param dest string
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.symlink(text, dest, options) end

--- The text of a link. Source: POSIX, readlink.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<string>
---@nodiscard
function fs.readlink(path, options) end

--- The absolute path without links, "." and "..". Source: POSIX, realpath.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<string>
---@nodiscard
function fs.realpath(path, options) end

--- Sets permissions. Source: POSIX, chmod.
---@param path string
---@param mode integer
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.chmod(path, mode, options) end

--- Sets the owner; -1 leaves what is there. Source: POSIX, chown.
---@param path string
---@param uid integer
---@param gid integer
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.chown(path, uid, gid, options) end

--- The same, of a link itself. Source: POSIX, lchown.
---@param path string
---@param uid integer
---@param gid integer
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.lchown(path, uid, gid, options) end

--- Sets the times of access and change. Source: Node, fs.utimes.
---@param path string
---@param atime number seconds since 1970
---@param mtime number seconds since 1970
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.utime(path, atime, mtime, options) end

--- The same, of a link itself. Source: Node, fs.lutimes.
---@param path string
---@param atime number seconds since 1970
---@param mtime number seconds since 1970
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function fs.lutime(path, atime, mtime, options) end

--- Makes a directory of its own, whose name is the prefix and six letters.
--- Source: Node, fs.mkdtemp.
---@param prefix string
---@param options? moontide.Options
---@return moontide.Promise<string> path
---@nodiscard
function fs.mkdtemp(prefix, options) end

--- Makes a file of its own, whose name is the prefix and six letters, and opens it for reading and
--- writing. Fulfilled with the file and its path. Source: POSIX, mkstemp.
---@param prefix string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.File>
---@nodiscard
function fs.mkstemp(prefix, options) end

--- Opens a file.
---@param path string
---@param how? string as C's fopen has it: "r" (default), "w" or "a", with "+", "b" and "x" after it
---@param options? moontide.fs.Making
---@return moontide.Promise<moontide.fs.File>
---@nodiscard
function fs.open(path, how, options) end

--- An open file. As a `<close>` variable's value it is closed at the end of the scope, without being
--- waited for; so it is when nobody has it any more. Each method but `close` raises when it has been
--- closed. Without offset, several reads or writes at the same time come in any order.
---@class moontide.fs.File
local File = {}

--- Reads up to n bytes, fulfilled with nothing at the end of the file. An aborted one may have moved
--- the position.
---@param n? integer default 65536
---@param offset? integer default: the position, which moves on
---@param options? moontide.Options
---@return moontide.Promise<string?>
---@nodiscard
function File:read(n, offset, options) end

--- Writes all of data.
---@param data string|number
---@param offset? integer default: the position, which moves on
---@param options? moontide.Options an abort meanwhile may leave a part
---@return moontide.Promise
---@nodiscard
function File:write(data, offset, options) end

--- `for line in file:lines() do`: as `fs.lines`, from the position; leaves the file open. Reads
--- ahead.
---@param options? moontide.Options
---@return moontide.Callable
function File:lines(options) end

--- `for chunk in file:chunks() do` awaits each.
---@param size? integer bytes at most, default 65536
---@param options? moontide.Options
---@return moontide.Callable
function File:chunks(size, options) end

---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Stat>
---@nodiscard
function File:stat(options) end

--- Waits until the disk has data and attributes. Source: POSIX, fsync.
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function File:sync(options) end

--- Waits until the disk has the data. Source: POSIX, fdatasync.
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function File:datasync(options) end

---@param size? integer default 0
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function File:truncate(size, options) end

---@param mode integer
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function File:chmod(mode, options) end

---@param uid integer -1: as it is
---@param gid integer -1: as it is
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function File:chown(uid, gid, options) end

---@param atime number seconds since 1970
---@param mtime number seconds since 1970
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function File:utime(atime, mtime, options) end

--- Closes the file when what runs on it is over; no cancellation reaches that. Gives the same
--- promise again when it is called again.
---@return moontide.Promise
function File:close() end

--- An open directory; closed as files are.
---@class moontide.fs.Directory
local Directory = {}

--- The next entries, in no order; fulfilled with nothing when there are no more. One at a time.
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Entry[]?>
---@nodiscard
function Directory:read(options) end

--- `for entry in directory:entries() do` awaits them in parts. Leaves the directory open.
---@param options? moontide.Options
---@return moontide.Callable
function Directory:entries(options) end

--- Closes the directory when a read that runs is over; see File.
---@return moontide.Promise
function Directory:close() end

---@class moontide.fs.Event
---@field kind "change"|"rename"|"overflow" "rename": the name has come, gone, or means another file;
---"overflow": more has happened than is kept, look everywhere
---@field name? string in the directory that is watched, or the watched file's own, where the system
---tells

---@class moontide.fs.Watching: moontide.Options for the loop, and for `next` without options
---@field recursive? boolean what lies below, too; ENOSYS but for macOS and Windows

--- What watches a path. It does not keep the loop alive unless somebody waits.
---@class moontide.fs.Watch
---@overload fun(): moontide.fs.Event?
local Watch = {}

--- Fulfilled with what happens next, or has happened while nobody waited, equal events once; with
--- nothing once it is closed.
---@param options? moontide.Options default: those of the watch
---@return moontide.Promise<moontide.fs.Event?>
---@nodiscard
function Watch:next(options) end

--- Ends the watching. Also what a `<close>` variable and the end of a loop do.
function Watch:close() end

--- Watches what the path leads to now, a directory with what is directly in it, or a file, wherever
--- it is moved: `for event in fs.watch(path) do ... end` awaits each event. Raises a
--- moontide.SystemError where that is not possible. Source: Node, fs.watch; uv_fs_event_t.
---@param path string
---@param options? moontide.fs.Watching
---@return moontide.fs.Watch, nil, nil, moontide.fs.Watch
function fs.watch(path, options) end
