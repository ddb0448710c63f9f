# SPDX-License-Identifier: MIT
# Lines and branches of lib/ and src/ that the tests run, by gcov; not part of `check`.

# With COUNTED, for the folder $(COVERAGE), the library counts and nothing else: with the objects
# of the tests every process of a test would write three times as many files. The counts are atomic
# since tests have threads; in the kernels' loops that would take most of an hour.
ifdef COUNTED
LIB_LIBS += -lgcov
$(LIB_OBJ): private COMMON += --coverage -fno-inline -fno-ipa-icf \
	-fprofile-update=$(if $(findstring lib/kernels/,$@),single,atomic)
endif

COVERAGE := $(BUILD)/coverage

# Minutes of training, when counted, that reach nothing else.
NOT_COUNTED := trained_mixture

.PHONY: coverage
# COVERAGE_FILES: parts of the names of files whose uncovered lines and branches are listed.
coverage: deps
	@MAKE="$(MAKE)" SUITES="$(filter-out $(NOT_COUNTED),$(SUITES))" \
	sh tests/coverage/coverage.sh "$(CC)" $(COVERAGE) $(COVERAGE_FILES)
