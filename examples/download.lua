-- Downloads a file, and shows how far it is. Whoever looks for the file finds all of it or nothing
-- new, whatever happens on the way.
--
--   moontide examples/download.lua URL FILE
--   moontide examples/download.lua demo        from a server of its own, one that breaks off, too
--
-- Without the progress it is `await(response:save(FILE))`.
local fs = require "moontide.fs"
local http = require "moontide.http"
local stdio = require "moontide.stdio"
local system = require "moontide.os"
local tide = require "moontide"
local await = tide.await

---- the bar ----

local WIDTH = 40

local function bar(received, total)
  if not total or total == 0 then return ("%d KiB"):format(received // 1024) end
  local filled = ("#"):rep(received * WIDTH // total)
  return ("[%s%s] %3d %%"):format(filled, ("."):rep(WIDTH - #filled), received * 100 // total)
end

--- Shows at a terminal, and nowhere else, how much has come: show(received), and show() at the end.
local function progress(total)
  local shown = ""
  if not stdio.stderr:size() then return function() end end
  return function(received)
    local text = received and bar(received, total) or "\n"
    if text ~= shown then stdio.stderr:write(received and "\r" or "", text) end
    shown = text
  end
end

---- the download ----

local function write_file(path, response, show)
  local file <close> = await(fs.open(path, "w"))
  local received = 0
  for chunk in response:chunks() do
    await(file:write(chunk))
    received = received + #chunk
    show(received)
  end
  await(file:sync())
  return received
end

--- Writes a file beside the one that is wanted, and removes that unless all goes well.
local function save(response, path, show)
  local part = path .. ".part"
  local ok, received = pcall(function()
    local length = write_file(part, response, show)
    await(fs.rename(part, path))
    return length
  end)
  show()
  if ok then return received end
  pcall(await, fs.unlink(part))
  error(received, 0)
end

--- Returns how many bytes the file has. It is asked for uncompressed: only then the length is that
--- of what comes out.
local function download(url, path)
  local headers = { ["Accept-Encoding"] = "identity" }
  local response <close> = await(http.fetch(url, { headers = headers }))
  if not response.ok then
    error(("%s: %d %s"):format(url, response.status, response.status_text), 0)
  end
  return save(response, path, progress(tonumber(response.headers:get "content-length")))
end

---- its own server ----

local PIECE, PIECES = ("0123456789abcdef"):rep(4096), 64

--- All pieces, but for `/broken`, which breaks off.
local pieces = tide.generator(function(yield, path)
  for i = 1, PIECES do
    await(tide.sleep(1))
    if path == "/broken" and i == PIECES // 2 then error("the server breaks off", 0) end
    yield(PIECE)
  end
end)

local function serve()
  local options = { host = "127.0.0.1", on_error = function(err) print("server: " .. err) end }
  return await(http.serve(options, function(request)
    return { headers = { ["Content-Length"] = PIECES * #PIECE }, body = pieces(request.path) }
  end))
end

local function demo()
  local service <close> = serve()
  local base = ("http://127.0.0.1:%d"):format(service:address().port)
  local directory = await(fs.mkdtemp(system.tmpdir() .. "/download-"))
  local path = directory .. "/file"
  print(download(base .. "/whole", path) .. " bytes")
  print("client: " .. select(2, pcall(download, base .. "/broken", path)).code)
  for _, entry in ipairs(await(fs.scandir(directory))) do
    print(entry.name, await(fs.stat(directory .. "/" .. entry.name)).size)
  end
  await(fs.rm(directory, { recursive = true }))
end

if arg[1] == "demo" then
  demo()
elseif arg[2] then
  print(download(arg[1], arg[2]) .. " bytes")
else
  io.stderr:write("usage: download.lua URL FILE\n")
  os.exit(64)
end
