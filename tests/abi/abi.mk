# SPDX-License-Identifier: MIT
# The public interface against the committed tables of tests/abi: see docs/abi.md.

.PHONY: check-abi update-abi
check-abi: deps
	@$(MAKE) --no-print-directory library
	@sh tests/abi/check.sh "$(CC)" $(BUILD)
# Only additions; `sh tests/abi/update.sh --break` is for a version that may break.
update-abi: library
	@sh tests/abi/update.sh $(BUILD) "$(CC)"
