# SPDX-License-Identifier: MIT
# Static analysis of the library and the examples; see check_static.sh.

.PHONY: check-static
# FILES: only these files.
check-static: deps
	@MAKE="$(MAKE)" sh tests/static/check_static.sh $(BUILD) $(FILES)
