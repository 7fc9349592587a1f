std = "lua54"
max_line_length = 100
exclude_files = { "build", "csrc" }

-- `_` and names that start with it say "not used on purpose"; `self` comes with every method.
ignore = { "212/self" }

-- In the first lines of the command, which assign to _, sh finds the interpreter.
files["bin/moontide"] = { globals = { "arg", "_" } }
files["examples/hosts/mod_moontide.lua"] = { globals = { "module" } }
files["spec/**/*.lua"] = { std = "+busted" }
files["spec/host/*.lua"] = { std = "lua54" }
files["**/*.rockspec"] = { std = "+rockspec" }
files[".busted"] = { std = "lua54" }
files["lua/moontide/meta/*.lua"] = {
  -- Declarations without bodies: parameters are there for the language server only.
  ignore = { "111", "112", "113", "121", "122", "131", "142", "143", "211", "212", "221", "241",
    "311", "412", "631" },
}
