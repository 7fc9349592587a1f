#!/bin/sh
# Names a thing that every system calls differently, or exits 1 when it is not there:
#   lua       the Lua 5.4 interpreter
#   lua-pc    the pkg-config module of Lua 5.4
#   luarocks  the luarocks command, with the arguments that make it work for Lua 5.4
# Used by the Makefile and by tools/install-deps.sh, so that both look for the same things.

case ${1-} in
lua)
    for name in lua5.4 lua-5.4 lua54 lua; do
        if [ "$("$name" -e 'io.write(_VERSION)' 2>/dev/null)" = "Lua 5.4" ]; then
            echo "$name"
            exit 0
        fi
    done
    ;;
lua-pc)
    for name in lua5.4 lua-5.4 lua54 lua; do
        if pkg-config --exists "$name >= 5.4" "$name < 5.5" 2>/dev/null; then
            echo "$name"
            exit 0
        fi
    done
    ;;
luarocks)
    for name in luarocks-5.4 luarocks; do
        if command -v "$name" >/dev/null; then
            echo "$name --lua-version=5.4"
            exit 0
        fi
    done
    ;;
*)
    echo "usage: $0 lua|lua-pc|luarocks" >&2
    exit 2
    ;;
esac
exit 1
