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
RR_CFLAGS = -std=gnu2x -I. -pthread -D_GNU_SOURCE -fstack-protector-strong $(WARNINGS) $(CFLAGS) \
            -DRR_VERSION='"$(VERSION)"' -DRR_COMMIT='"$(COMMIT)"'
LIBS := -lpq -lcurl -lssl -lcrypto -lcjson -lyaml -lexpat -lzstd -llz4 -lz -lm

SOURCES := $(sort $(wildcard lib/*/*.c))
OBJECTS := $(SOURCES:%.c=build/obj/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(sort $(wildcard tests/unit/*/test_*.c)))

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

# Objects are made again when the flags change, and only then.
.PHONY: force
build/obj/.flags: force
	@mkdir -p $(@D); echo '$(CC) $(RR_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(RR_CFLAGS)' > $@

##@ Test

build/unit/%: tests/unit/%.c build/librr.a
	@mkdir -p $(@D)
	$(CC) $(RR_CFLAGS) -MMD -MP -MF $@.d -o $@ $< build/librr.a -lcmocka $(LIBS)

.PHONY: unit
unit: $(UNIT_TESTS) ## unit tests (cmocka)
	@for t in $(UNIT_TESTS); do echo "== $$t"; "$$t" || exit 1; done

.PHONY: test
test: unit layers ## everything that CI runs

.PHONY: layers
layers: ## hold the include lines against the table of rooms in lib/README.md
	scripts/check-layers

.PHONY: clean
clean: ## remove build/ (caches outside the checkout stay)
	rm -rf build

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z0-9_.-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' Makefile

-include $(OBJECTS:.o=.d) build/obj/restore-reconciler.d $(wildcard build/unit/*/*.d)
