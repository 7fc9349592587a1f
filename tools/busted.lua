-- Runs busted in the interpreter that runs this file. The `busted` command is a Lua script on one
-- system and a shell script on the next, and picks an interpreter of its own; sanitizers and
-- valgrind need to know which process the specs are in.

table.insert(arg, 1, "--ignore-lua")
require "busted.runner" { standalone = false }
