# SPDX-License-Identifier: MIT
# The tests on Windows: without those of what POSIX alone has, as limits of a process, fork, links,
# and calls that fail on request.

POSIX_ONLY := sys/(resource|wait|mount|mman)\.h|pwd\.h|support/(disk|system_calls)\.h
TEST_C := $(filter-out $(shell grep -lE '[<"]($(POSIX_ONLY))[>"]' $(TEST_C)),$(TEST_C))
TEST_SRC := $(filter $(TEST_C),$(TEST_SRC))
TEST_C += examples/windows/posix.c
# Check's functions print as those of Windows do.
TEST_FLAGS := -Wno-format -Wno-format-extra-args -include examples/windows/posix.h
TEST_LDFLAGS := -static
WRAPPED :=
