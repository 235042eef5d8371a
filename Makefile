# SPDX-License-Identifier: BSD-2-Clause
# knell: see README.md. `make help` lists what can be made.

VERSION  := 0.1.0
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=

CC       := gcc
CLANG    := clang
# Debian keeps bpftool where a user's PATH does not look.
BPFTOOL  := PATH="$$PATH:/usr/sbin" bpftool
SAN      ?=

# Say what is made, not how; `make V=1` says both.
Q        := $(if $(V),,@)

# Every recipe that compiles asks for these; tools/setup installs what is missing, once per list.
SETUP    := $(BUILD)/.setup

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wpointer-arith -Wvla -Wundef
CFLAGS   ?= -O2 -g
CFLAGS   += -std=gnu11 $(WARN) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
CPPFLAGS += -Iinclude -Iagent -I$(BUILD)/gen -DKNELL_VERSION='"$(VERSION)"'
LDFLAGS  += $(if $(SAN),-fsanitize=$(SAN))
LDLIBS   := -lbpf -lmnl -luring -lnghttp2 -lprotobuf-c -lssl -lcrypto -ljansson -linih -lsqlite3 \
	    -lhttp_parser -lexpat -lm
DEPFLAGS  = -MMD -MP

# clang spells the triplet differently from the directory; gcc is in the set-up list anyway. Expanded
# in the recipes and not before: the first `make` may be what installs gcc.
ARCH_INCLUDE  = /usr/include/$(shell gcc -dumpmachine)
BPF_CFLAGS    = -O2 -g -target bpf -mcpu=v3 -Wall -Werror -Iinclude -I$(ARCH_INCLUDE)

BPF_SRC   := bpf/evidence.bpf.c bpf/tune.bpf.c bpf/sweep.bpf.c
BPF_OBJ   := $(BPF_SRC:%.c=$(BUILD)/%.o)
AGENT_SRC := $(filter-out agent/main.c,$(sort $(wildcard agent/*.c agent/*/*.c)))
AGENT_OBJ := $(AGENT_SRC:%.c=$(BUILD)/%.o)
AGENT_LIB := $(BUILD)/libknelld.a
PROTO_SRC := knell/v1/peer.proto knell/v1/mirror.proto grpc/health/v1/health.proto
PROTO_H   := $(PROTO_SRC:%.proto=$(BUILD)/gen/%.pb-c.h)
PROTO_OBJ := $(PROTO_H:.h=.o)
KNELL_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tools/knell/*.c)))
WIRE_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %.bpf.c,$(sort $(wildcard tools/lab/*.c))))
SIM_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/bench/sim*.c)))
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
BENCH     := $(patsubst tests/bench/bench_%.c,$(BUILD)/bench_%,$(sort $(wildcard tests/bench/bench_*.c)))
BINARIES  := $(BUILD)/knelld $(BUILD)/knell $(BUILD)/knell-wire
# What several tests share: certificates made on the spot, the simulator's parts.
SHARED    := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/unit/test_%,$(sort $(wildcard tests/unit/*.c))) \
	     $(filter-out tests/bench/sim.c,$(sort $(wildcard tests/bench/sim_*.c))))
TEST_LIB  := $(BUILD)/libtest.a
LAB_TOOLS := $(patsubst tests/lab/%.c,$(BUILD)/lab_%,$(sort $(wildcard tests/lab/*.c)))
# For the scripts that run what was built.
RUN_ENV   := KNELL_BUILD="$(abspath $(BUILD))"
TEST_BINARIES := $(UNIT) $(BUILD)/sim $(BENCH) $(LAB_TOOLS)
# gRPC clients from npm, for the tests that call a node as anybody's program would.
GRPC_JS   := $(BUILD)/grpc/node_modules/.package-lock.json
# And S3 clients.
S3_JS     := $(BUILD)/s3/node_modules/.package-lock.json

.DELETE_ON_ERROR:
# Objects of tests are made by pattern rules; keep them, or every call makes them again.
.SECONDARY:
.PHONY: all help setup tests check demo lint fuzz bench soak install uninstall clean format

all: $(BINARIES)

help:
	@echo 'knell $(VERSION): hear a peer die, and let go of it'
	@echo
	@echo '  make            build knelld, knell and the lab (installs missing packages as root)'
	@echo '  make demo       three nodes, one loses power: the timeline (root, under a minute)'
	@echo '  make check      unit tests, sanitizers, the lab in its short form (root, < 20 min)'
	@echo '  make bench      the figures in full, next to BFD; then tools/figures prints the table'
	@echo '  make soak       lab and bench in their longest form, then the suite ten times over'
	@echo '  make lint       clang-format, clang-tidy, cppcheck, shellcheck'
	@echo '  make fuzz       fuzzers over everything that reads bytes from outside'
	@echo '  make install    into $$(DESTDIR)$$(PREFIX), PREFIX=$(PREFIX); make uninstall'
	@echo '  make clean      remove $(BUILD)/'
	@echo
	@echo 'Variables: CC=gcc|clang, SAN=address,undefined, BUILD=dir, PREFIX, DESTDIR.'

setup: $(SETUP)

$(SETUP): tools/setup
	@mkdir -p $(@D)
	@tools/setup
	@touch $@

$(BUILD)/%.bpf.o: %.bpf.c $(SETUP)
	@mkdir -p $(@D)
	@echo '  BPF   $@'
	$(Q)$(CLANG) $(BPF_CFLAGS) $(DEPFLAGS) -c $< -o $@

$(BUILD)/bpf/knell.o: $(BPF_OBJ)
	@echo '  LINK  $@'
	$(Q)$(BPFTOOL) gen object $@ $^ >/dev/null

$(BUILD)/gen/knell.skel.h: $(BUILD)/bpf/knell.o
	@mkdir -p $(@D)
	@echo '  GEN   $@'
	$(Q)$(BPFTOOL) gen skeleton $< name knell_bpf > $@

$(BUILD)/gen/wire.skel.h: $(BUILD)/tools/lab/wire.bpf.o
	@mkdir -p $(@D)
	@echo '  GEN   $@'
	$(Q)$(BPFTOOL) gen skeleton $< name wire_bpf > $@

$(BUILD)/agent/detect/load.o $(BUILD)/agent/detect/feature.o: $(BUILD)/gen/knell.skel.h
$(WIRE_OBJ): $(BUILD)/gen/wire.skel.h

# One call of protoc-c makes both.
$(BUILD)/gen/%.pb-c.h $(BUILD)/gen/%.pb-c.c: include/proto/%.proto $(SETUP)
	@mkdir -p $(BUILD)/gen
	@echo '  GEN   $(BUILD)/gen/$*.pb-c.c'
	$(Q)protoc-c -Iinclude/proto --c_out=$(BUILD)/gen $*.proto

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@echo '  CC    $@'
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c $< -o $@

# Who includes a generated header is known only after it was compiled once.
$(BUILD)/%.o: %.c $(SETUP) | $(PROTO_H)
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c $< -o $@

$(AGENT_LIB): $(AGENT_OBJ) $(PROTO_OBJ)
	@echo '  AR    $@'
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/knelld: $(BUILD)/agent/main.o $(AGENT_LIB)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/knell: $(KNELL_OBJ) $(AGENT_LIB)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/knell-wire: $(WIRE_OBJ)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/sim: $(SIM_OBJ)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ -lm -o $@

$(BUILD)/tests/%.o: CPPFLAGS += -Itests

$(TEST_LIB): $(SHARED) $(filter-out %/main.o,$(KNELL_OBJ))
	@echo '  AR    $@'
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(TEST_LIB) $(AGENT_LIB)
	@mkdir -p $(@D)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -lcheck -lsubunit -lpthread -lrt -lm -o $@

$(BUILD)/lab_%: $(BUILD)/tests/lab/%.o $(AGENT_LIB)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/bench_%: $(BUILD)/tests/bench/bench_%.o $(AGENT_LIB)
	@echo '  LD    $@'
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(GRPC_JS) $(S3_JS): $(BUILD)/%/node_modules/.package-lock.json: tests/install_npm tests/%/package.json \
		tests/%/package-lock.json $(SETUP)
	@echo '  NPM   $(BUILD)/$*'
	$(Q)tests/install_npm tests/$* $(BUILD)/$*

tests: $(BINARIES) $(TEST_BINARIES)

check: tests $(GRPC_JS) $(S3_JS)
	@$(RUN_ENV) tests/run check

bench: tests $(GRPC_JS) $(S3_JS)
	@$(RUN_ENV) tests/run bench

soak: tests $(GRPC_JS) $(S3_JS)
	@$(RUN_ENV) tests/run soak

demo: $(BINARIES)
	@$(RUN_ENV) tools/demo

lint: tests
	@$(RUN_ENV) tests/run lint

fuzz: $(SETUP)
	@$(RUN_ENV) tests/run fuzz

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	install -D -m 755 $(BUILD)/knelld $(DESTDIR)$(PREFIX)/sbin/knelld
	install -D -m 755 $(BUILD)/knell $(DESTDIR)$(PREFIX)/sbin/knell
	install -D -m 644 tools/knell/man/knell.8 $(DESTDIR)$(PREFIX)/share/man/man8/knell.8
	install -D -m 644 tools/knelld.8 $(DESTDIR)$(PREFIX)/share/man/man8/knelld.8
	install -D -m 644 tools/knell/completion/knell $(DESTDIR)$(PREFIX)/share/bash-completion/completions/knell
	install -D -m 644 tools/knelld.service $(DESTDIR)$(PREFIX)/lib/systemd/system/knelld.service
	install -D -m 644 tools/knelld.conf $(DESTDIR)$(PREFIX)/share/doc/knell/knelld.conf
	for proto in $(PROTO_SRC); do \
		install -D -m 644 include/proto/$$proto $(DESTDIR)$(PREFIX)/share/knell/proto/$$proto || exit 1; \
	done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/knelld $(DESTDIR)$(PREFIX)/sbin/knell
	rm -f $(DESTDIR)$(PREFIX)/share/man/man8/knell.8 $(DESTDIR)$(PREFIX)/share/man/man8/knelld.8
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/knell
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/knelld.service
	rm -f $(DESTDIR)$(PREFIX)/share/doc/knell/knelld.conf
	for proto in $(PROTO_SRC); do \
		rm -f $(DESTDIR)$(PREFIX)/share/knell/proto/$$proto; \
	done
	-rmdir $(DESTDIR)$(PREFIX)/share/doc/knell
	-cd $(DESTDIR)$(PREFIX)/share && rmdir -p knell/proto/knell/v1 knell/proto/grpc/health/v1

clean:
	rm -rf $(BUILD)

-include $(BPF_OBJ:.o=.d) $(PROTO_OBJ:.o=.d) $(AGENT_OBJ:.o=.d) $(BUILD)/agent/main.d $(KNELL_OBJ:.o=.d)
-include $(WIRE_OBJ:.o=.d) $(SIM_OBJ:.o=.d) $(SHARED:.o=.d) $(UNIT:$(BUILD)/unit/%=$(BUILD)/tests/unit/%.d)
