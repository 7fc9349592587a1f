#!/bin/sh
# Installs what is missing to work on moontide, and nothing that is there already.
#   tools/install-deps.sh build    compiler, Lua 5.4 with headers, libuv, pkg-config, and what HTTP
#                                  needs: libcurl with headers, llhttp, lua-cjson
#   tools/install-deps.sh test     that, OpenSSL with headers, busted, luasocket, luasec, luarocks, curl,
#                                  socat, nginx, tinyproxy, redis, lua-redis, luacheck, dkjson and
#                                  Chromium, on Debian lua-readline, h2load and wrk
#   tools/install-deps.sh check    that, LuaSQL for SQLite, on Debian prosody, the other linters,
#                                  sanitizers, libFuzzer and valgrind
# DEPS=no: only say what is missing; the exit status is 1 when something is.

set -u
here=$(dirname "$0")
set_name=${1-}

# Homebrew has none.
browser=chromium
[ "$(uname -s)" != Darwin ] || browser=

case $set_name in
build) wanted="cc pkg-config lua lua-headers libuv llhttp libcurl cjson" ;;
test)
    wanted="cc pkg-config lua lua-headers libuv busted luasocket luarocks openssl libssl curl socat"
    wanted="$wanted nginx redis-server lua-redis luasec luacheck dkjson llhttp cjson $browser"
    wanted="$wanted libcurl tinyproxy"
    if command -v apt-get >/dev/null; then wanted="$wanted lua-readline h2load wrk"; fi
    ;;
check)
    wanted="cc pkg-config lua lua-headers libuv busted luasocket luarocks openssl libssl curl socat"
    wanted="$wanted nginx redis-server lua-redis luasec luacheck dkjson llhttp cjson $browser"
    wanted="$wanted libcurl tinyproxy luasql-sqlite3"
    # where its package is one for Lua 5.4
    if command -v apt-get >/dev/null; then wanted="$wanted lua-readline h2load wrk prosody"; fi
    wanted="$wanted clang-format clang-tidy valgrind sanitizers fuzzer"
    ;;
*)
    echo "usage: $0 build|test|check" >&2
    exit 2
    ;;
esac

# The command, and its parser where `moontide check` finds it.
has_luacheck()
{
    command -v luacheck >/dev/null && lua=$(sh "$here/find.sh" lua) &&
        "$lua" -e "package.path = '$here/../lua/?.lua;' .. package.path
            os.exit(require('moontide.check.parser').is_there())"
}

# A tool may exist and still not link: the sanitizers' libraries are packages of their own.
links_sanitizers()
{
    out=$(mktemp) || return 1
    echo 'int main(void) { return 0; }' |
        ${CC:-cc} -x c -fsanitize=address,undefined -o "$out" - 2>/dev/null
    status=$?
    rm -f "$out"
    return $status
}

links_fuzzer()
{
    out=$(mktemp) || return 1
    echo '#include <stddef.h>
        int LLVMFuzzerTestOneInput(const unsigned char *, size_t);
        int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n) { return data && n && 0; }' |
        ${FUZZ_CC:-clang} -x c -fsanitize=fuzzer,address - -o "$out" 2>/dev/null
    status=$?
    rm -f "$out"
    return $status
}

has()
{
    case $1 in
    cc) command -v "${CC:-cc}" >/dev/null && echo '#include <stdio.h>' |
        ${CC:-cc} -E - >/dev/null 2>&1 ;;
    lua) sh "$here/find.sh" lua >/dev/null ;;
    lua-headers) sh "$here/find.sh" lua-pc >/dev/null ;;
    libuv) pkg-config --exists libuv 2>/dev/null ;;
    libssl) pkg-config --exists 'openssl >= 1.1.1' 2>/dev/null ;;
    libcurl) pkg-config --exists 'libcurl >= 7.76' 2>/dev/null ;;
    llhttp) pkg-config --exists libllhttp 2>/dev/null || [ -e /usr/share/llhttp/llhttp.c ] ;;
    cjson) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "cjson"' 2>/dev/null ;;
    busted) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "busted.runner"' 2>/dev/null ;;
    luasocket) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "socket"' 2>/dev/null ;;
    luasec) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "ssl"' 2>/dev/null ;;
    dkjson) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "dkjson"' 2>/dev/null ;;
    luasql-sqlite3) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "luasql.sqlite3"' 2>/dev/null ;;
    lua-readline) lua=$(sh "$here/find.sh" lua) && "$lua" -e 'require "readline"' 2>/dev/null ;;
    luarocks) sh "$here/find.sh" luarocks >/dev/null ;;
    redis-server) command -v redis-server >/dev/null || command -v valkey-server >/dev/null ;;
    lua-redis) lua=$(sh "$here/find.sh" lua) && "$lua" "$here/../spec/support/find_redis.lua" ;;
    sanitizers) links_sanitizers ;;
    fuzzer) links_fuzzer ;;
    luacheck) has_luacheck ;;
    chromium) sh "$here/find.sh" browser >/dev/null ;;
    tinyproxy) PATH=$PATH:/usr/sbin:/usr/local/sbin command -v tinyproxy >/dev/null ;;
    nginx) PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

find_missing()
{
    missing=
    for thing in $wanted; do
        has "$thing" || missing="$missing $thing"
    done
    missing=${missing# }
}

# The package that brings a thing, or "rock:NAME" where the system has none, or nothing
# where it comes with something else or cannot be had.
package()
{
    case $manager:$1 in
    apt:cc) echo gcc libc6-dev ;;
    apt:pkg-config) echo pkg-config ;;
    apt:lua) echo lua5.4 ;;
    apt:lua-headers) echo liblua5.4-dev ;;
    apt:libuv) echo libuv1-dev ;;
    apt:libssl) echo libssl-dev ;;
    apt:libcurl) echo libcurl4-openssl-dev ;;
    # Debian 12 has the sources only.
    apt:llhttp) case $(cat /etc/debian_version 2>/dev/null) in
        12* | bookworm*) echo node-llhttp ;;
        *) echo libllhttp-dev ;;
        esac ;;
    apt:cjson) echo lua-cjson ;;
    apt:busted) echo lua-busted ;;
    apt:luasocket) echo lua-socket ;;
    apt:luasec) echo lua-sec ;;
    apt:dkjson) echo lua-dkjson ;;
    apt:luasql-sqlite3) echo lua-sql-sqlite3 ;;
    apt:luacheck) echo lua-check ;;
    apt:sanitizers) echo gcc libc6-dev ;;
    apt:fuzzer) echo clang ;;
    apt:h2load) echo nghttp2-client ;;
    apt:nginx) echo nginx-light ;;
    apt:redis-server) echo redis-server ;;
    apt:lua-redis) echo lua-redis ;;

    dnf:cc) echo gcc ;;
    dnf:pkg-config) echo pkgconf-pkg-config ;;
    dnf:lua) echo lua ;;
    dnf:lua-headers) echo lua-devel ;;
    dnf:libuv) echo libuv-devel ;;
    dnf:libssl) echo openssl-devel ;;
    dnf:libcurl) echo libcurl-devel ;;
    dnf:llhttp) echo llhttp-devel ;;
    dnf:clang-format | dnf:clang-tidy) echo clang-tools-extra ;;
    dnf:sanitizers) echo libasan libubsan ;;
    dnf:fuzzer) echo clang compiler-rt ;;

    apk:cc) echo gcc musl-dev ;;
    apk:pkg-config) echo pkgconf ;;
    apk:lua) echo lua5.4 ;;
    apk:lua-headers) echo lua5.4-dev ;;
    apk:libuv) echo libuv-dev ;;
    apk:libssl) echo openssl-dev ;;
    apk:libcurl) echo curl-dev ;;
    apk:llhttp) echo llhttp-dev ;;
    apk:cjson) echo lua5.4-cjson ;;
    apk:busted) echo lua5.4-busted ;;
    apk:luasocket) echo lua5.4-socket ;;
    apk:luasec) echo lua5.4-sec ;;
    apk:luasql-sqlite3) echo lua5.4-sql-sqlite3 ;;
    apk:luarocks) echo luarocks5.4 ;;
    apk:clang-format | apk:clang-tidy) echo clang-extra-tools ;;
    apk:sanitizers) ;; # gcc has none on musl
    apk:fuzzer) echo clang compiler-rt ;;

    pacman:cc | pacman:sanitizers) echo gcc ;;
    pacman:pkg-config) echo pkgconf ;;
    pacman:libssl) echo openssl ;;
    pacman:libcurl) echo curl ;;
    # A system that has moved on to a later Lua keeps 5.4 under its own name.
    pacman:lua | pacman:lua-headers)
        if pacman -Si lua54 >/dev/null 2>&1; then echo lua54; else echo lua; fi ;;
    pacman:clang-format | pacman:clang-tidy) echo clang ;;
    pacman:fuzzer) echo clang compiler-rt ;;
    pacman:luacheck) echo luacheck ;;

    brew:cc | brew:sanitizers) ;; # xcode-select --install
    brew:pkg-config) echo pkgconf ;;
    brew:libssl | brew:openssl) echo openssl@3 ;;
    brew:libcurl) echo curl ;;
    brew:lua | brew:lua-headers)
        if brew info lua@5.4 >/dev/null 2>&1; then echo lua@5.4; else echo lua; fi ;;
    brew:clang-format) echo clang-format ;;
    brew:clang-tidy | brew:fuzzer) echo llvm ;;
    brew:valgrind) ;; # Linux only

    pacman:redis-server) echo valkey ;;
    *:redis-server) echo redis ;;
    *:lua-redis) echo rock:redis-lua ;;
    *:cjson) echo rock:lua-cjson ;;
    *:busted | *:luacheck | *:luasocket | *:luasec | *:dkjson | *:luasql-sqlite3)
        echo "rock:$1"
        ;;
    *) echo "$1" ;;
    esac
}

find_manager()
{
    manager=
    for name in apt-get dnf apk pacman brew; do
        if command -v "$name" >/dev/null; then
            manager=${name%-get}
            return 0
        fi
    done
    return 1
}

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    elif command -v doas >/dev/null; then
        doas "$@"
    else
        echo "deps: not root, and neither sudo nor doas is there to run: $*" >&2
        return 1
    fi
}

install_packages()
{
    echo "deps: $manager installs: $*"
    case $manager in
    apt)
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
        ;;
    dnf) as_root dnf install -y "$@" ;;
    apk) as_root apk add "$@" ;;
    pacman) as_root pacman -S --needed --noconfirm "$@" ;;
    brew) brew install "$@" ;; # refuses to run as root
    esac </dev/null
}

install_rock()
{
    echo "deps: luarocks installs: $1"
    rocks=$(sh "$here/find.sh" luarocks) || {
        echo "deps: $1 needs luarocks, which is missing" >&2
        return 1
    }
    # shellcheck disable=SC2086 # the command and its arguments
    if [ "$manager" = brew ]; then $rocks install "$1"; else as_root $rocks install "$1"; fi
}

find_missing
[ -n "$missing" ] || exit 0
echo "deps: missing for '$set_name': $missing"

if [ "${DEPS-}" = no ]; then
    echo "deps: DEPS=no, so nothing is installed; install these first: $missing" >&2
    exit 1
fi
find_manager || {
    echo "deps: none of apt, dnf, apk, pacman, brew is here; install these first: $missing" >&2
    exit 1
}

packages=
rocks_wanted=
for thing in $missing; do
    for name in $(package "$thing"); do
        case $name in
        rock:*) rocks_wanted="$rocks_wanted ${name#rock:}" ;;
        *) case " $packages " in *" $name "*) ;; *) packages="$packages $name" ;; esac ;;
        esac
    done
done
# Rocks with C in them are built here, by luarocks.
if [ -n "$rocks_wanted" ] && ! has luarocks; then
    packages="$packages $(package luarocks)"
fi

# shellcheck disable=SC2086 # a list of names
[ -z "$packages" ] || install_packages $packages || exit 1
for rock in $rocks_wanted; do
    install_rock "$rock" || exit 1
done

find_missing
[ -z "$missing" ] || {
    echo "deps: still missing: $missing" >&2
    exit 1
}
