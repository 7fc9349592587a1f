# GNU make. `make run` and `make test` install what is missing; DEPS=no forbids that.

# release, asan (AddressSanitizer and UBSan) or gcstress (a full collection before every job).
BUILD ?= release
PREFIX ?= /usr/local
LIBDIR  = $(PREFIX)/lib/lua/$(LUA_VERSION)
LUADIR  = $(PREFIX)/share/lua/$(LUA_VERSION)
BINDIR  = $(PREFIX)/bin
DOCDIR  = $(PREFIX)/share/doc/moontide

# ?= would not do: make itself sets CC.
ifeq ($(origin CC),default)
CC := cc
endif
LUA     := $(or $(LUA),$(shell sh tools/find.sh lua),lua5.4)
LUA_VERSION := $(or $(shell $(LUA) -e 'io.write(_VERSION:sub(5))' 2>/dev/null),5.4)
LUA_PC  := $(or $(shell sh tools/find.sh lua-pc $(LUA_VERSION)),lua$(LUA_VERSION))
SYSTEM  := $(shell uname -s)

# TLS is a module of its own, built where OpenSSL is found; OPENSSL=no leaves it out.
ifndef OPENSSL
OPENSSL := $(shell pkg-config --exists 'openssl >= 1.1.1' 2>/dev/null && echo yes || echo no)
endif
ifeq ($(filter yes no,$(OPENSSL)),)
$(error OPENSSL=$(OPENSSL): yes or no)
endif

# So is the parser of HTTP, built with llhttp: the system's library, or the sources that Debian packages
# as node-llhttp. LLHTTP=no leaves it out.
LLHTTP_FOLDER := /usr/share/llhttp
ifeq ($(LLHTTP),)
LLHTTP := $(shell pkg-config --exists libllhttp 2>/dev/null && echo yes || \
	{ [ -e $(LLHTTP_FOLDER)/llhttp.c ] && echo sources; } || echo no)
endif
ifeq ($(filter yes sources no,$(LLHTTP)),)
$(error LLHTTP=$(LLHTTP): yes, sources or no)
endif

# So is the client of HTTP, built where libcurl is found; CURL=no leaves it out.
ifndef CURL
CURL := $(shell pkg-config --exists 'libcurl >= 7.76' 2>/dev/null && echo yes || echo no)
endif
ifeq ($(filter yes no,$(CURL)),)
$(error CURL=$(CURL): yes or no)
endif

LAYERS  := base core loop stream fs net process websocket
CSRC    := $(wildcard $(LAYERS:%=csrc/%/*.c) csrc/*.c)
TLSSRC  := $(wildcard csrc/tls/*.c)
LLHTTPSRC := $(wildcard csrc/llhttp/*.c)
CURLSRC := $(wildcard csrc/http/*.c)
OPTIONALSRC := $(TLSSRC) $(LLHTTPSRC) $(CURLSRC)
HEADERS := $(wildcard csrc/*.h csrc/*/*.h)
SPECS   := $(sort $(wildcard spec/*_spec.lua spec/*/*_spec.lua))
LUADIRS := $(sort $(dir $(wildcard lua/moontide/*.lua lua/moontide/*/*.lua)))
LLHTTPSPECSRC := spec/support/plain_llhttp.c
HOSTSRC := $(wildcard spec/host/*.c spec/support/*.c spec/fuzz/*.c examples/hosts/*.c)
BENCHSRC := $(wildcard bench/*.c bench/io/*.c)
BENCHHDR := $(wildcard bench/io/*.h)
# What the README leads to, and these files in turn.
DOCUMENTS := README.md LICENSE bench/README.md bench/instructions.txt $(wildcard docs/*.md docs/*.png) \
	$(shell find examples -type f | sort)
SHELLS  := $(wildcard tools/*.sh) .ci/run

DIR     := build/$(BUILD)
CORE    := $(DIR)/moontide/core.so
OBJECTS := $(CSRC:csrc/%.c=$(DIR)/obj/%.o)
TLS_OBJECTS := $(TLSSRC:csrc/%.c=$(DIR)/obj/%.o)
TLS     := $(if $(filter yes,$(OPENSSL)),$(DIR)/moontide/tls_core.so)
LLHTTP_OBJECTS := $(LLHTTPSRC:csrc/%.c=$(DIR)/obj/%.o)
LLHTTP_LIBRARY := $(if $(filter sources,$(LLHTTP)),\
	$(patsubst $(LLHTTP_FOLDER)/%.c,$(DIR)/obj/llhttp/library/%.o,$(wildcard $(LLHTTP_FOLDER)/*.c)))
HTTP    := $(if $(filter yes sources,$(LLHTTP)),$(DIR)/moontide/llhttp_core.so)
CURL_OBJECTS := $(CURLSRC:csrc/%.c=$(DIR)/obj/%.o)
CLIENT  := $(if $(filter yes,$(CURL)),$(DIR)/moontide/http_core.so)
HOST    := build/host/oom-$(BUILD)

SANITIZE         := -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_release   := -O2
CFLAGS_gcstress  := -O1 -g -DTIDE_GC_STRESS
CFLAGS_asan      := -O1 -g -fno-omit-frame-pointer $(SANITIZE)
ifeq ($(filter release gcstress asan,$(BUILD)),)
$(error BUILD=$(BUILD): release, asan or gcstress)
endif

ifeq ($(SYSTEM),Darwin)
SHARED  := -bundle -undefined dynamic_lookup
else
SHARED  := -shared
endif

# CFLAGS and LDFLAGS are the user's; what the build cannot do without is kept apart from them.
CFLAGS    ?= $(CFLAGS_$(BUILD))
REQUIRED   = -std=gnu99 -D_FILE_OFFSET_BITS=64 -Wall -Wextra -fPIC -fvisibility=hidden -fno-plt
LUA_CFLAGS = $(shell pkg-config --cflags $(LUA_PC))
LUA_LIBS   = $(shell pkg-config --libs $(LUA_PC))
UV_CFLAGS  = $(shell pkg-config --cflags libuv)
UV_LIBS    = $(shell pkg-config --libs libuv)
TLS_CFLAGS = $(shell pkg-config --cflags openssl)
TLS_LIBS   = $(shell pkg-config --libs openssl)
CURL_CFLAGS = $(shell pkg-config --cflags libcurl)
CURL_LIBS  = $(shell pkg-config --libs libcurl)
ifeq ($(LLHTTP),sources)
LLHTTP_CFLAGS = -I/usr/share/include/llhttp -DLLHTTP_STRICT_MODE
LLHTTP_LIBS   =
else
LLHTTP_CFLAGS = $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   = $(shell pkg-config --libs libllhttp)
endif
COMPILE    = $(CC) $(REQUIRED) $(CFLAGS) $(CPPFLAGS) -Icsrc $(LUA_CFLAGS) $(UV_CFLAGS) -MMD -MP

# Whatever the caller had comes last, so that rocks of the user's own (busted, say) are found.
V := $(subst .,_,$(LUA_VERSION))
export LUA_PATH  := $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(or $(LUA_PATH_$(V)),$(LUA_PATH),;)
export LUA_CPATH := $(CURDIR)/$(DIR)/?.so;$(or $(LUA_CPATH_$(V)),$(LUA_CPATH),;)
unexport LUA_PATH_$(V) LUA_CPATH_$(V) LUA_INIT LUA_INIT_$(V)
export MOONTIDE_BUILD := $(BUILD)

SUBMAKE := $(MAKE) --no-print-directory
BUSTED  := $(LUA) tools/busted.lua

# $(call each,GOALS,VARIABLES): makes every goal, whatever became of the ones before it.
define each
@failed=; for goal in $(1); do $(SUBMAKE) $(2) $$goal || failed="$$failed $$goal"; done; \
[ -z "$$failed" ] || { echo "make $@: failed:$$failed" >&2; exit 1; }
endef

.PHONY: all core run test specs examples install-test oom bench bench-instructions \
	bench-instructions-check lint asan gcstress valgrind format clean install uninstall deps-build deps-test deps-check
.DELETE_ON_ERROR:

all: core

core: $(CORE) $(TLS) $(HTTP) $(CLIENT)
	@[ $(OPENSSL) = yes ] || echo "core: built without TLS: no OpenSSL >= 1.1.1, or OPENSSL=no"
	@[ $(LLHTTP) != no ] || echo "core: built without the HTTP server: no llhttp, or LLHTTP=no"
	@[ $(CURL) = yes ] || echo "core: built without the HTTP client: no libcurl >= 7.76, or CURL=no"

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(UV_LIBS)

$(DIR)/moontide/tls_core.so: $(TLS_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(CFLAGS) $(LDFLAGS) -o $@ $(TLS_OBJECTS) $(TLS_LIBS)

$(TLS_OBJECTS): CPPFLAGS += $(TLS_CFLAGS)

$(DIR)/moontide/llhttp_core.so: $(LLHTTP_OBJECTS) $(LLHTTP_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LLHTTP_LIBS)

$(LLHTTP_OBJECTS) $(LLHTTP_LIBRARY): CPPFLAGS += $(LLHTTP_CFLAGS)

$(DIR)/moontide/http_core.so: $(CURL_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(CFLAGS) $(LDFLAGS) -o $@ $(CURL_OBJECTS) $(CURL_LIBS)

$(CURL_OBJECTS): CPPFLAGS += $(CURL_CFLAGS)

$(DIR)/obj/llhttp/library/%.o: $(LLHTTP_FOLDER)/%.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) -w -c -o $@ $<

$(DIR)/obj/%.o: csrc/%.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

# The core is linked in, so that one sanitizer run time and one wrapped malloc see all of it.
HOST_TLS := $(if $(TLS),$(TLS_OBJECTS))
HOST_LLHTTP := $(if $(HTTP),$(LLHTTP_OBJECTS) $(LLHTTP_LIBRARY))
HOST_CURL := $(if $(CLIENT),$(CURL_OBJECTS))
$(HOST): spec/host/oom.c $(OBJECTS) $(HOST_TLS) $(HOST_LLHTTP) $(HOST_CURL) Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(if $(TLS),-DHOST_HAS_TLS) $(if $(HTTP),-DHOST_HAS_LLHTTP) $(if $(CLIENT),-DHOST_HAS_CURL) \
		$(LDFLAGS) -o $@ $< $(OBJECTS) $(HOST_TLS) $(HOST_LLHTTP) $(HOST_CURL) $(HOST_LDFLAGS) $(LUA_LIBS) \
		$(UV_LIBS) $(if $(TLS),$(TLS_LIBS)) $(if $(HTTP),$(LLHTTP_LIBS)) $(if $(CLIENT),$(CURL_LIBS))

-include $(OBJECTS:.o=.d) $(TLS_OBJECTS:.o=.d) $(LLHTTP_OBJECTS:.o=.d) $(CURL_OBJECTS:.o=.d) \
	$(wildcard build/host/*.d)

deps-build deps-test deps-check:
	@sh tools/install-deps.sh $(@:deps-%=%)

# The names of what was just installed are looked up anew, hence a make of its own for the rest.
run: deps-build
	@$(SUBMAKE) core
	@$(SUBMAKE) run-example

.PHONY: run-example
run-example:
	$(LUA) bin/moontide examples/dashboard.lua

test: deps-test
	@$(SUBMAKE) core
	$(call each,specs examples install-test oom)

# File by file: each collection that a spec asks for looks at all that busted has loaded. In one process
# they take three times as long, and with a collection before each job even longer.
specs: core
	@echo "== specs ($(BUILD))"
ifeq ($(BUSTED_ARGS),)
	@failed=; for file in $(SPECS); do \
		echo "$$file"; $(BUSTED_ENV) $(BUSTED) "$$file" || failed="$$failed $$file"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }
else
	$(BUSTED_ENV) $(BUSTED) $(BUSTED_ARGS)
endif

examples: core
	@echo "== examples"
	$(LUA) examples/check.lua

install-test:
	@echo "== luarocks install"
	sh tools/test-install.sh

# Not each allocation of the long scripts is tried, unless it is asked for: `make oom OOM_EVERY_release=1`
# takes some ten minutes. The instrumented builds are slower still. structure.lua makes three times as many
# as core.lua: with a collection before each job, it would take as long as everything else together, and
# so would tls.lua, which shakes hands in each run: the others try each fifth allocation of it.
OOM_EVERY_release  := 3
OOM_EVERY_asan     := 7
OOM_EVERY_gcstress := 7
OOM_SCRIPTS := spec/host/core.lua spec/host/debug.lua spec/host/files.lua spec/host/process.lua \
	spec/host/sockets.lua \
	$(if $(filter gcstress,$(BUILD)),,spec/host/structure.lua)
oom: $(HOST)
	@echo "== memory errors ($(BUILD))"
	for script in $(OOM_SCRIPTS); do $(HOST) $$script $(OOM_EVERY_$(BUILD)) || exit; done
	$(if $(filter gcstress,$(BUILD)),,$(if $(TLS),$(HOST) spec/host/tls.lua 5))
	$(if $(filter gcstress,$(BUILD)),,$(if $(HTTP),$(HOST) spec/host/http_server.lua 17))
	$(if $(filter gcstress,$(BUILD)),,$(if $(CLIENT),$(HOST) spec/host/http_client.lua 17))

# With libFuzzer, which comes with clang. What is found besides the kept inputs stays in build/. Garbage
# of Lua's looks like a leak to it.
FUZZ_SECONDS ?= 5
FUZZ_CC ?= clang
FUZZER := build/fuzz/fuzz
FUZZ_SCRIPTS := $(sort $(wildcard spec/fuzz/*.lua))
FUZZ_LIBRARY := $(if $(filter sources,$(LLHTTP)),$(wildcard $(LLHTTP_FOLDER)/*.c))
$(FUZZER): spec/fuzz/fuzz.c $(LLHTTPSRC) $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(FUZZ_CC) $(REQUIRED) -w -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -Icsrc $(LUA_CFLAGS) $(LLHTTP_CFLAGS) -o $@ $< $(LLHTTPSRC) \
		$(FUZZ_LIBRARY) $(LLHTTP_LIBS) -Wl,-export-dynamic $(LUA_LIBS)

.PHONY: fuzz
fuzz: deps-check core $(if $(HTTP),$(FUZZER))
	$(if $(HTTP),,@echo "fuzz: built without the HTTP server")
	@for script in $(if $(HTTP),$(FUZZ_SCRIPTS)); do \
		name=$$(basename $$script .lua); echo "== fuzz $$name"; mkdir -p build/fuzz/$$name; \
		FUZZ_SCRIPT=$$script $(FUZZER) -max_total_time=$(FUZZ_SECONDS) -max_len=400 -verbosity=0 -detect_leaks=0 \
			-print_final_stats=1 -artifact_prefix=build/fuzz/$$name- build/fuzz/$$name \
			spec/fuzz/corpus/$$name || exit; \
	done

# Rows whose programs do not compile, on systems without epoll say, are left out.
bench: core
	-@$(SUBMAKE) -k bench-programs
	$(LUA) bench/run.lua

# Counted instead of timed: the same on a machine that has other things to do. Written for the CI's
# compiler; with another one, the check only reports.
INSTRUCTIONS = CC="$(CC)" CFLAGS="$(CFLAGS)" $(LUA) bench/instructions.lua
bench-instructions bench-instructions-check: deps-check
	@$(SUBMAKE) BUILD=release core build/bench/seed.so
	$(INSTRUCTIONS) $(if $(filter %-check,$@),--check,--write)

.PHONY: bench-programs
bench-programs: $(patsubst bench/io/%.c,build/bench/%,$(wildcard bench/io/*.c)) build/bench/seed.so

build/bench/%: bench/io/%.c $(BENCHHDR) Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -Wall -Wextra -O2 $(UV_CFLAGS) -o $@ $< $(UV_LIBS)

build/bench/seed.so: bench/seed.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -Wall -Wextra -O2 -fPIC -shared -o $@ $<

# lua5.4 itself is not instrumented, so the run time of the sanitizer has to be loaded first.
# Leaks are not looked for here: busted leaves through os.exit, the preloaded library is in every
# child that a spec starts, and shells and node do not free what they have at exit. The host below
# is instrumented itself, closes all its states, and does look for leaks; so does valgrind.
ASAN_LIB = $(shell $(CC) -print-file-name=libasan.so)
ASAN_ENV = ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
asan: deps-check
	@$(SUBMAKE) BUILD=asan core
	$(call each,specs-asan oom,BUILD=asan)

.PHONY: specs-asan
specs-asan: BUSTED_ENV = $(ASAN_ENV) LD_PRELOAD=$(ASAN_LIB)
specs-asan: specs

gcstress: deps-test
	@$(SUBMAKE) BUILD=gcstress core
	$(call each,specs oom,BUILD=gcstress)

VALGRIND := valgrind -q --error-exitcode=9 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite
valgrind: deps-check
	@$(SUBMAKE) core
	@echo "== closing specs (valgrind)"
	MOONTIDE_CHILD="$(VALGRIND)" $(BUSTED) --tags=closing

lint: deps-check
	@$(SUBMAKE) core
	$(call each,lint-lua lint-format lint-c lint-build)

.PHONY: lint-lua lint-format lint-c lint-build
lint-lua: core
	luacheck -q lua bin/moontide spec examples bench tools rockspec/*.rockspec .busted
	$(LUA) bin/moontide check lua bin/moontide examples bench tools .busted

lint-format:
	clang-format --dry-run -Werror $(CSRC) $(OPTIONALSRC) $(HEADERS) $(HOSTSRC) $(BENCHSRC) $(BENCHHDR)

lint-c:
	clang-tidy -quiet $(CSRC) $(filter-out $(LLHTTPSPECSRC),$(HOSTSRC)) $(BENCHSRC) -- $(REQUIRED) $(LUA_CFLAGS) $(UV_CFLAGS) -Icsrc
	$(if $(TLS),clang-tidy -quiet $(TLSSRC) -- $(REQUIRED) $(LUA_CFLAGS) $(TLS_CFLAGS) -Icsrc)
	$(if $(HTTP),clang-tidy -quiet $(LLHTTPSRC) $(LLHTTPSPECSRC) -- $(REQUIRED) $(LUA_CFLAGS) $(LLHTTP_CFLAGS) -Icsrc)
	$(if $(CLIENT),clang-tidy -quiet $(CURLSRC) -- $(REQUIRED) $(LUA_CFLAGS) $(CURL_CFLAGS) -Icsrc)

# Only the entry point may be visible: a name of ours must not meet one of another module's.
lint-build:
	$(LUA) tools/check-layers.lua $(CSRC) $(OPTIONALSRC) $(HEADERS)
	@$(LUA) tools/check-specs.lua $(CSRC) $(OPTIONALSRC) $$(find lua -name '*.lua') -- $$(find spec -name '*_spec.lua')
	$(LUA) tools/check-rockspec.lua rockspec/moontide-scm-1.rockspec Makefile
	@for module in $(notdir $(basename $(CORE) $(TLS) $(HTTP) $(CLIENT))); do \
		visible=$$(nm -D --defined-only build/release/moontide/$$module.so | awk '{ print $$3 }'); \
		if [ "$$visible" != luaopen_moontide_$$module ]; then \
			echo "$$module.so exports:" $$visible >&2; exit 1; \
		fi; \
	done

format:
	clang-format -i $(CSRC) $(OPTIONALSRC) $(HEADERS) $(HOSTSRC) $(BENCHSRC) $(BENCHHDR)

install: core
	install -d "$(DESTDIR)$(LIBDIR)/moontide" "$(DESTDIR)$(BINDIR)"
	install -m 755 $(CORE) $(TLS) $(HTTP) $(CLIENT) "$(DESTDIR)$(LIBDIR)/moontide/"
	for folder in $(LUADIRS:lua/%/=%); do \
		install -d "$(DESTDIR)$(LUADIR)/$$folder" && \
		install -m 644 lua/$$folder/*.lua "$(DESTDIR)$(LUADIR)/$$folder/" || exit; \
	done
	install -m 644 lua/moontide/timeline/page.html "$(DESTDIR)$(LUADIR)/moontide/timeline/"
	sed '1s|.*|#!$(or $(shell command -v $(LUA)),/usr/bin/env $(LUA))|' bin/moontide \
		>"$(DESTDIR)$(BINDIR)/moontide"
	chmod 755 "$(DESTDIR)$(BINDIR)/moontide"
	for file in $(DOCUMENTS); do \
		install -d "$(DESTDIR)$(DOCDIR)/$$(dirname $$file)" && \
		install -m 644 $$file "$(DESTDIR)$(DOCDIR)/$$file" || exit; \
	done

# All files under the names that install gives them, of this version and others.
uninstall:
	rm -rf "$(DESTDIR)$(LIBDIR)/moontide" "$(DESTDIR)$(LUADIR)/moontide"
	rm -f "$(DESTDIR)$(BINDIR)/moontide"
	rm -rf "$(DESTDIR)$(DOCDIR)"

clean:
	rm -rf build
