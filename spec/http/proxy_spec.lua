local proxy = require "moontide.http.proxy"
local system = require "moontide.os"

local NAMES = { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
  "no_proxy", "NO_PROXY" }

--- The proxy for a URL in an environment.
local function find(scheme, host, port, env)
  for _, name in ipairs(NAMES) do
    if env[name] then
      system.setenv(name, env[name])
    end
  end
  return proxy.find({ scheme = scheme, host = host, port = port })
end

describe("the proxy of the environment", function()
  local before = {}

  before_each(function()
    for _, name in ipairs(NAMES) do
      before[name] = os.getenv(name)
      system.unsetenv(name)
    end
  end)

  after_each(function()
    for _, name in ipairs(NAMES) do
      system.unsetenv(name)
      if before[name] then
        system.setenv(name, before[name])
      end
    end
  end)

  it("is that of the scheme, or of all", function()
    assert.is_nil(find("http", "a", "80", {}))
    assert.equal("p", find("http", "a", "80", { http_proxy = "p", https_proxy = "s" }))
    assert.equal("s", find("https", "a", "443", {}))
    system.unsetenv("http_proxy")
    assert.equal("x", find("http", "a", "80", { ALL_PROXY = "x" }))
    assert.equal("s", find("https", "a", "443", {}))
  end)

  it("is not what a client of CGI may have set", function()
    assert.is_nil(find("http", "a", "80", { HTTP_PROXY = "p" }))
    assert.equal("p", find("https", "a", "443", { HTTPS_PROXY = "p" }))
  end)

  it("is none for hosts that are excluded", function()
    for list, hosts in pairs({
      ["a.example"] = { ["a.example"] = true, ["b.a.example"] = true, ["ba.example"] = false },
      [".a.example, *.c"] = { ["b.a.example"] = true, ["b.c"] = true, ["c"] = true, d = false },
      ["*"] = { x = true, ["[::1]"] = true },
      ["::1 127.0.0.1"] = { ["[::1]"] = true, ["127.0.0.1"] = true, ["127.0.0.11"] = false },
      ["a:80,b:81"] = { a = true, b = false },
    }) do
      for host, excluded in pairs(hosts) do
        assert.equal(excluded, proxy.is_excluded(list, host, "80"), list .. " " .. host)
      end
    end
    assert.is_nil(find("http", "a", "80", { http_proxy = "p", NO_PROXY = "a" }))
  end)
end)
