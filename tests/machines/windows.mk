# SPDX-License-Identifier: MIT
# The tests on Windows: without those of what POSIX alone has, as limits of a process, fork, links,
# and calls that fail on request.

POSIX_TESTS := $(shell grep -lE '<(sys/(resource|wait|mount|mman)|pwd)\.h>|"support/(disk|system_calls)\.h"' \
	$(TEST_C))
TEST_C := $(filter-out $(POSIX_TESTS),$(TEST_C)) $(wildcard tests/machines/*.c)
TEST_SRC := $(filter $(TEST_C),$(TEST_SRC))
TEST_FLAGS := -include machines/posix.h
WRAPPED :=
