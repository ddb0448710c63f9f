# SPDX-License-Identifier: MIT
# The tests on Windows: without those of what POSIX alone has, as limits of a process, fork, links,
# and calls that fail on request, and those that have a shell run programs.

POSIX_ONLY := sys/(resource|wait|mount|mman)\.h|pwd\.h|support/(disk|system_calls)\.h
CALLS_SHELL := [( ]system\(
LEFT_OUT := $(shell grep -lE '[<"]($(POSIX_ONLY))[>"]|$(CALLS_SHELL)' $(TEST_C) \
	tests/program/test_*.c)
TEST_C := $(filter-out $(LEFT_OUT),$(TEST_C))
TEST_SRC := $(filter $(TEST_C),$(TEST_SRC))
TEST_C += $(WINDOWS_POSIX:$(BUILD)/obj/%.o=%.c)
# Check's functions print as those of Windows do.
TEST_FLAGS := -Wno-format -Wno-format-extra-args -include examples/windows/posix.h
TEST_LDFLAGS := -static
WRAPPED :=
