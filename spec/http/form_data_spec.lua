local tide = require "moontide"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local form_data = require "moontide.http.form_data"

local await = tide.await

--- The body of parts as one text, with "-" for the boundary.
local function text_of(parts)
  return await(tide.spawn(function()
    local pieces, length = form_data.pieces(parts, "-")
    local list = {}
    for piece in pieces, nil, nil, pieces do
      list[#list + 1] = piece
    end
    local text = table.concat(list)
    assert.equal(length, #text)
    return text
  end))
end

local function head_of(part)
  return text_of({ part }):match("^%-%-%-\r\n(.-)\r\n\r\n")
end

describe("form data", function()
  after_each(files.remove)

  it("has values and files", function()
    local path = files.directory() .. "/a.png"
    files.write(path, ("x"):rep(100000))
    local text = text_of({ { name = "a", value = "1" }, { name = "b", path = path } })
    assert.equal('---\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
      .. '---\r\nContent-Disposition: form-data; name="b"; filename="a.png"\r\n'
      .. "Content-Type: image/png\r\n\r\n" .. ("x"):rep(100000) .. "\r\n-----\r\n", text)
    assert.equal("-----\r\n", text_of({}))
  end)

  it("escapes names", function()
    assert.equal('Content-Disposition: form-data; name="a%22b%0D%0Ac"',
      head_of({ name = 'a"b\nc', value = "" }))
    assert.equal('Content-Disposition: form-data; name="a"; filename="%22%0A%0D"\r\n'
      .. "Content-Type: application/octet-stream",
      head_of({ name = "a", filename = '"\n\r', value = "" }))
    assert.equal('Content-Disposition: form-data; name="a"\r\nContent-Type: text/x',
      head_of({ name = "a", type = "text/x", value = "" }))
  end)

  it("fails where there is no file, and where one is shorter than it was", function()
    assert.is_false((pcall(text_of, { { name = "a", path = "no such file" } })))
    local path = files.directory() .. "/a"
    files.write(path, "123")
    local ok, reason = pcall(await, tide.spawn(function()
      local pieces = form_data.pieces({ { name = "a", path = path } }, "-")
      files.write(path, "1")
      for _ in pieces, nil, nil, pieces do end -- luacheck: ignore 542
    end))
    leak.run_dry() -- it is closed
    assert.is_false(ok)
    assert.matches("a file has become shorter", tostring(reason))
  end)

  it("says what is wrong with parts", function()
    for problem, parts in pairs({
      ["part 1: table expected"] = { 1 },
      ["part 1: field 'name' is missing"] = { { value = "" } },
      ["part 2: one of the fields"] = { { name = "a", value = "" }, { name = "b" } },
      ["part 1: one of the fields"] = { { name = "a", value = "", path = "b" } },
      ["part 1: field 'value'"] = { { name = "a", value = 1 } },
      ["control characters"] = { { name = "a", value = "", type = "a\r\nb" } },
    }) do
      assert.matches(problem, form_data.mistake(parts))
    end
    assert.is_nil(form_data.mistake({ { name = "a", value = "" } }))
  end)
end)
