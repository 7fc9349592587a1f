local parameters = require "moontide.http.parameters"

local CASES = {
  { "text/plain", "text/plain", {} },
  { " Text/Plain ; Charset=UTF-8 ", "text/plain", { charset = "UTF-8" } },
  { 'form-data; name="a"; filename="b c.txt"', "form-data",
    { name = "a", filename = "b c.txt" } },
  { 'form-data;name=a;filename=""', "form-data", { name = "a", filename = "" } },
  { [[form-data; name="a\"b\\c"]], "form-data", { name = [[a"b\c]] } },
  { [[form-data; name="C:\dir\a.txt"]], "form-data", { name = [[C:\dir\a.txt]] } },
  { "a; b='c'", "a", { b = "'c'" } },
  { "" }, { ";" }, { "; a=b" }, { "a; b" }, { "a; b=" }, { "a; b=c d" }, { "a; b=c; b=d" },
  { "a; b=c; B=c" }, { 'a; b="c' }, { 'a; b="c\\"' }, { 'a; b="c"d' }, { "a b=c" }, { "a; =b" },
  { "a; b = c" }, { "a; b=c d;" },
  { "a;", "a", {} }, { "a ; ;b=c;; d=e; ", "a", { b = "c", d = "e" } },
}

describe("parameters.parse", function()
  for _, case in ipairs(CASES) do
    it(("reads %q"):format(case[1]), function()
      local kind, found = parameters.parse(case[1])
      assert.equal(case[2], kind)
      assert.same(case[3], found)
    end)
  end
end)
