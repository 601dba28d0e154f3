# restore-reconciler. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VERSION := $(shell cat lib/VERSION)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

CC := gcc
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
            -Wcast-qual -Wwrite-strings -Wvla -Wundef $(if $(CI),-Werror)
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
RR_CFLAGS = -std=gnu2x -I. -pthread -D_GNU_SOURCE -fstack-protector-strong $(WARNINGS) $(CFLAGS) \
            -DRR_VERSION='"$(VERSION)"'
LIBS := -lpq -lcurl -lssl -lcrypto -lcjson -lyaml -lexpat -lzstd -llz4 -lz -lm

SOURCES := $(sort $(wildcard lib/*/*.c))
OBJECTS := $(SOURCES:%.c=build/obj/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(sort $(wildcard tests/unit/*/test_*.c)))

# libFuzzer on every parser of foreign bytes. Longer: make fuzz FUZZ_SECONDS=3600
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_FLAGS := -std=gnu2x -I. -pthread -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined \
              -fno-sanitize-recover=undefined -DRR_VERSION='"fuzz"' -DRR_COMMIT='"fuzz"'
comma := ,

##@ Build

.PHONY: all
all: build/restore-reconciler ## the program with the distribution's shared libraries, for development

build/restore-reconciler: build/obj/restore-reconciler.o build/librr.a
	$(CC) $(CFLAGS) -pthread -o $@ $^ $(LIBS)

build/librr.a: $(OBJECTS)
	@rm -f $@
	ar rcs $@ $(OBJECTS)

build/obj/%.o: %.c build/obj/.flags
	@mkdir -p $(@D)
	$(CC) $(RR_CFLAGS) -MMD -MP -c $< -o $@

# Objects are made again when the flags change, and only then; one file names the commit.
.PHONY: force
build/obj/.flags: force
	@mkdir -p $(@D); echo '$(CC) $(RR_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(RR_CFLAGS)' > $@
build/obj/.commit: force
	@mkdir -p $(@D); echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
build/obj/lib/cli/cmd_version.o build/static/obj/lib/cli/cmd_version.o: build/obj/.commit
build/obj/lib/cli/cmd_version.o build/static/obj/lib/cli/cmd_version.o: RR_CFLAGS += -DRR_COMMIT='"$(COMMIT)"'

STATIC = $(shell scripts/static-libraries prefix)
STATIC_OBJECTS := $(SOURCES:%.c=build/static/obj/%.o) build/static/obj/restore-reconciler.o

.PHONY: static
static: static-libraries ## build/static/restore-reconciler: the program that ships
	@$(MAKE) --no-print-directory build/static/restore-reconciler

.PHONY: static-libraries
static-libraries:
	scripts/install-build-deps static
	scripts/static-libraries build

build/static/restore-reconciler: $(STATIC_OBJECTS)
	$(STATIC)/bin/cc -static -Wl,-z,relro,-z,now -Wl,-z,stack-size=1048576 -Wl,--gc-sections -s \
	    -o $@ $^ $$(scripts/static-libraries libs)

build/static/obj/%.o: %.c build/obj/.flags
	@mkdir -p $(@D)
	$(STATIC)/bin/cc $(RR_CFLAGS) -ffunction-sections -fdata-sections -MMD -MP -c $< -o $@

.PHONY: update-pins
update-pins: ## record the newest versions of the static build's libraries
	scripts/static-libraries update-pins

.PHONY: install
install: static ## the static program into $(DESTDIR)$(PREFIX)/bin
	install -D -m 755 build/static/restore-reconciler $(DESTDIR)$(PREFIX)/bin/restore-reconciler

# localhost/ keeps a cluster that lacks the image from asking a registry on the internet for it.
IMAGE ?= localhost/restore-reconciler:$(VERSION)
image: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
.PHONY: image
image: static ## build/image.tar: the OCI image that ships, without a container engine; IMAGE=NAME:TAG names it
	scripts/install-build-deps image
	scripts/make-image --name '$(IMAGE)' --binary build/static/restore-reconciler --version '$(VERSION)' \
	    --revision '$(COMMIT)' --out build/image.tar

##@ Test

.PHONY: test
test: deps ## everything that CI runs; installs what it needs
	@$(MAKE) --no-print-directory -j$(JOBS) layers docs-check static build-tests
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory fuzz-short
	@$(MAKE) --no-print-directory e2e

.PHONY: deps
deps:
	scripts/install-build-deps dev static image test

build/unit/%: tests/unit/%.c build/librr.a
	@mkdir -p $(@D)
	$(CC) $(RR_CFLAGS) -MMD -MP -MF $@.d -o $@ $< build/librr.a -lcmocka $(LIBS)

.PHONY: build-tests
build-tests: $(UNIT_TESTS) $(FUZZ_TARGETS)

.PHONY: unit
unit: $(UNIT_TESTS) ## unit tests (cmocka)
	@for t in $(UNIT_TESTS); do echo "== $$t"; "$$t" || exit 1; done

.PHONY: layers
layers: ## hold the include lines against the table of rooms in lib/README.md
	scripts/check-layers

.PHONY: e2e
e2e: static ## behaviour of the static program on real servers (pytest)
	scripts/test-parts
	tests/e2e/run $(E2E)

.PHONY: test-1.30
test-1.30: static ## the tests of the cluster on the oldest Kubernetes that we support
	scripts/test-parts kubernetes-1.30
	E2E_KUBERNETES=1.30 tests/e2e/run -m cluster $(E2E)

.PHONY: torture
torture: static ## kill the program at every point of a run; later runs must finish or undo it
	scripts/test-parts
	TORTURE=full tests/e2e/run test_kill.py

build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(subst fuzzer$(comma),fuzzer-no-link$(comma),$(FUZZ_FLAGS)) -MMD -MP -c $< -o $@

build/fuzz/librr.a: $(SOURCES:%.c=build/fuzz/obj/%.o)
	@rm -f $@
	ar rcs $@ $^

build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c build/fuzz/librr.a
	clang $(FUZZ_FLAGS) -o $@ $< build/fuzz/librr.a $(LIBS)

.PHONY: fuzz
fuzz: $(FUZZ_TARGETS) ## libFuzzer targets, FUZZ_SECONDS each
	scripts/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# In CI: a minute for the configuration, times and the table of contents, a quarter for the rest.
FUZZ_MINUTE := $(addprefix build/fuzz/fuzz_,spec rfc3339 toc)
.PHONY: fuzz-short
fuzz-short: $(FUZZ_TARGETS)
	scripts/fuzz 60 $(FUZZ_MINUTE)
	scripts/fuzz 15 $(filter-out $(FUZZ_MINUTE),$(FUZZ_TARGETS))

.PHONY: bench
bench: static ## the figures of docs/performance.md
	tests/bench/run noop

.PHONY: lint
lint: ## clang-tidy, cppcheck, shellcheck and our own greps
	scripts/install-build-deps lint
	scripts/lint

##@ Documents

build/print-tables: scripts/print-tables.c build/librr.a
	$(CC) $(RR_CFLAGS) -o $@ $< build/librr.a $(LIBS)

.PHONY: docs docs-check
docs: build/print-tables ## write the generated tables into docs/
	scripts/fill-docs
docs-check: build/print-tables
	scripts/fill-docs --check

##@ Try it

.PHONY: demo
demo: ## the main job on a throw-away local database, shown step by step
	scripts/install-build-deps dev
	@$(MAKE) --no-print-directory all
	scripts/demo

.PHONY: testbed testbed-down
testbed: ## a Kubernetes with a real node, PostgreSQL and S3 on this machine, left running
	scripts/test-parts python postgres s3 etcd kwok kubernetes node
	tests/testbed/testbed up --node --services
	@echo; echo 'To use it:   eval "$$(tests/testbed/testbed env)"'; echo
	@tests/testbed/testbed env
testbed-down: ## stop it, and remove every trace
	tests/testbed/testbed down

.PHONY: clean
clean: ## remove build/ (caches outside the checkout stay)
	rm -rf build

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z0-9_.-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' Makefile

-include $(OBJECTS:.o=.d) $(STATIC_OBJECTS:.o=.d) $(wildcard build/fuzz/obj/lib/*/*.d) build/obj/restore-reconciler.d $(wildcard build/unit/*/*.d)
