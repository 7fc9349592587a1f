#!/bin/sh
# Names a thing that every system calls differently, or exits 1 when it is not there:
#   lua                the interpreter, of a version that moontide runs on
#   lua-pc [VERSION]   the pkg-config module of Lua, of that version or the interpreter's
#   luarocks           the luarocks command, with the arguments that make it work for the interpreter
#   browser            a browser that works without a window
# Used by the Makefile, by tools/install-deps.sh and by the specs, so that all look for the same things.

# Best first; bin/moontide looks for the same.
VERSIONS="5.4 5.5"

names()
{
    echo "lua$1 lua-$1 lua$(echo "$1" | tr -d .) lua"
}

find_lua()
{
    for version in $VERSIONS; do
        for lua in $(names "$version"); do
            [ "$("$lua" -e 'io.write(_VERSION)' 2>/dev/null)" = "Lua $version" ] && return
        done
    done
    return 1
}

case ${1-} in
lua)
    find_lua || exit 1
    echo "$lua"
    exit 0
    ;;
lua-pc)
    find_lua && VERSIONS=$version
    for version in ${2-$VERSIONS}; do
        for name in $(names "$version"); do
            case $(pkg-config --modversion "$name" 2>/dev/null) in
            "$version" | "$version".*)
                echo "$name"
                exit 0
                ;;
            esac
        done
    done
    ;;
luarocks)
    find_lua || version=5.4
    for name in "luarocks-$version" luarocks; do
        if command -v "$name" >/dev/null; then
            echo "$name --lua-version=$version"
            exit 0
        fi
    done
    ;;
browser)
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name"; then exit 0; fi
    done
    ;;
*)
    echo "usage: $0 lua|lua-pc|luarocks|browser" >&2
    exit 2
    ;;
esac
exit 1
