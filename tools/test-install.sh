#!/bin/sh
# `luarocks make` into an empty tree, and scripts run from that tree: nothing but the tree is in the
# module paths, and the working directory is elsewhere. luarocks builds in place, so it is given a
# copy of the sources and leaves the checkout alone. Then once more for each combination of what is
# optional: OpenSSL, llhttp, libcurl.

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
lua=$(sh "$root/tools/find.sh" lua)
luarocks=$(sh "$root/tools/find.sh" luarocks)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree

fail()
{
    echo "install test: $*" >&2
    exit 1
}

mkdir "$work/source" "$work/elsewhere"
cd "$root"
for part in csrc lua bin docs examples bench rockspec tools/find.sh Makefile LICENSE README.md; do
    [ -e "$part" ] || continue
    mkdir -p "$work/source/$(dirname "$part")"
    cp -R "$part" "$work/source/$(dirname "$part")/"
done

# install TREE [VARIABLE=VALUE]...: without what the make that runs this has set for its own.
install()
{
    into=$1
    shift
    # shellcheck disable=SC2086 # the command and its arguments
    (cd "$work/source" && env -u LUA_PATH -u LUA_CPATH -u MAKEFLAGS -u MAKELEVEL "$@" \
        $luarocks make --tree="$into" >"$work/log" 2>&1) || {
        cat "$work/log" >&2
        fail "luarocks make failed"
    }
}

# The tree has these modules of C and every file of lua/, and nothing else.
check_modules()
{
    got=$(cd "$1/lib/lua/5.4/moontide" && ls)
    [ "$got" = "$2" ] || fail "modules of C in $1: $got"
    diff -r "$root/lua/moontide" "$1/share/lua/5.4/moontide" >&2 || fail "other files than in lua/"
}

tls=
! pkg-config --exists 'openssl >= 1.1.1' || tls=tls_core.so
parser=
! { pkg-config --exists libllhttp || [ -e /usr/share/llhttp/llhttp.c ]; } || parser=llhttp_core.so
client=
! pkg-config --exists 'libcurl >= 7.76' || client=http_core.so
# install_with TREE OPENSSL LLHTTP CURL MODULE...: a value that is empty has the Makefile look. What is
# built stays: the next one installs of it what it is to have.
install_with()
{
    into=$1
    install "$into" OPENSSL="$2" LLHTTP="$3" CURL="$4"
    shift 4
    check_modules "$into" "$(printf '%s\n' "$@")"
}
# shellcheck disable=SC2086 # each of them is nothing, or one word
{
    install_with "$tree" "" "" "" core.so $client $parser $tls
    install_with "$work/a" no "" "" core.so $client $parser
    install_with "$work/b" "" no "" core.so $client $tls
    install_with "$work/c" "" "" no core.so $parser $tls
    install_with "$work/d" no no "" core.so $client
    install_with "$work/e" no "" no core.so $parser
    install_with "$work/f" "" no no core.so $tls
}
install_with "$work/plain" no no no core.so

cat >"$work/elsewhere/script.lua" <<'END'
local tide = require "moontide"
local fs = require "moontide.fs"
local text = tide.await(fs.read_file(arg[0]))
tide.await(tide.sleep(1))
print("read " .. #text, package.searchpath("moontide.core", package.cpath))
END
size=$(wc -c <"$work/elsewhere/script.lua" | tr -d ' ')
expected="read $size	$tree/lib/lua/5.4/moontide/core.so"

cd "$work/elsewhere"
LUA_PATH="$tree/share/lua/5.4/?.lua;$tree/share/lua/5.4/?/init.lua"
LUA_CPATH="$tree/lib/lua/5.4/?.so"
export LUA_PATH LUA_CPATH
got=$("$lua" script.lua) || fail "the script failed"
[ "$got" = "$expected" ] || fail "the script printed '$got' instead of '$expected'"

# The engine of TLS has to find its libraries.
if [ -e "$tree/lib/lua/5.4/moontide/tls_core.so" ]; then
    "$lua" -e 'assert(require("moontide.tls_core").context({}))' || fail "no TLS"
fi

# So has the parser of HTTP.
if [ -e "$tree/lib/lua/5.4/moontide/llhttp_core.so" ]; then
    "$lua" -e 'assert(require("moontide.llhttp_core").parser(1))' || fail "no parser of HTTP"
fi

# So has the client.
if [ -e "$tree/lib/lua/5.4/moontide/http_core.so" ]; then
    "$lua" -e 'assert(require("moontide.http_core").url("http://a/"))' || fail "no HTTP client"
fi

# The installed command has to find its modules by itself.
unset LUA_PATH LUA_CPATH
got=$("$tree/bin/moontide" script.lua) || fail "the installed command failed"
[ "$got" = "$expected" ] || fail "the command printed '$got' instead of '$expected'"

# So has its check, with the annotations that this reads.
"$tree/bin/moontide" check script.lua || fail "the installed check failed"

# check_links FOLDER: what the documents there link to is there too.
check_links()
{
    for document in README.md $(cd "$1" && ls docs/*.md); do
        # shellcheck disable=SC2013 # no target has a blank
        for target in $(grep -o ']([^)#]*)' "$1/$document" | sed 's/^](//; s/)$//' | grep -v :); do
            [ -e "$1/$(dirname "$document")/$target" ] || fail "$1/$document: no $target"
        done
    done
}
check_links "$tree/lib/luarocks/rocks-5.4/moontide/scm-1"

# `make install` elsewhere: the command finds its modules; then nothing is left.
cd "$work/source"
prefix=$work/prefix
env -u MAKEFLAGS -u MAKELEVEL make install PREFIX="$prefix" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    fail "make install failed"
}
cd "$work/elsewhere"
got=$("$prefix/bin/moontide" script.lua) || fail "the command in $prefix failed"
expected="read $size	$prefix/bin/../lib/lua/5.4/moontide/core.so"
[ "$got" = "$expected" ] || fail "the command printed '$got' instead of '$expected'"
check_links "$prefix/share/doc/moontide"
cd "$work/source"
env -u MAKEFLAGS -u MAKELEVEL make uninstall PREFIX="$prefix" >"$work/log" 2>&1 || fail "uninstall"
left=$(find "$prefix" -type f)
[ -z "$left" ] || fail "make uninstall leaves $left"

# The commands of the README, as they stand there; other tools have to work in that shell as before.
sed -n '/^## Install/,/^## Five/s/^    //p' README.md >"$work/commands"
cat >>"$work/commands" <<'END'
moontide ../elsewhere/script.lua
for tool in busted luacheck; do
    command -v $tool >/dev/null || continue
    $tool --version >/dev/null || exit
done
END
mkdir "$work/home"
env -u MAKEFLAGS -u MAKELEVEL HOME="$work/home" sh -e "$work/commands" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    fail "the commands of the README failed"
}
grep -q "^read .*$work/home/" "$work/log" || fail "the README's moontide is not the installed one"
echo "install test: passed"
