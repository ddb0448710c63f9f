# SPDX-License-Identifier: MIT
# The files that are kept of each version; tests/unit/test_versions.c loads them all.

$(BUILD)/version_files: tests/versions/make_files.c tests/versions/version_files.h $(SHARED_LINKS)
	$(SAY) CC $<
	$(Q)$(CC) -std=c11 $(WARN) $(CFLAGS) -Iinclude $< -L$(BUILD) -ldiffusion \
	-Wl,-rpath,'$$ORIGIN' -o $@

# Once for each release.
.PHONY: version-files
version-files: $(BUILD)/version_files
	@mkdir -p tests/versions/$(VERSION)
	@$< tests/versions/$(VERSION)
