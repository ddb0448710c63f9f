# SPDX-License-Identifier: MIT
# Refused allocations in every public function, against the shared library; not part of `check`.

ALLOC_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/alloc/*.c))

$(BUILD)/obj/tests/alloc/%.o: tests/alloc/%.c $(FLAGS_FILE) | need-library
	$(call compile,-Iinclude -fno-builtin-malloc -fno-builtin-calloc $(CFLAGS) \
	$(call cflags_of,zlib))

# -rdynamic: the names of the program's functions in the backtraces.
$(BUILD)/check_alloc: $(ALLOC_OBJ) $(SHARED_LINKS)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -rdynamic $(ALLOC_OBJ) -L$(BUILD) -ldiffusion \
	-Wl,-rpath,'$$ORIGIN' $(call libs_of,zlib) -ldl -pthread -o $@

.PHONY: check-alloc
check-alloc: deps
	@$(MAKE) $(BUILD)/check_alloc
	@sh tests/alloc/check.sh $(BUILD) $(ALLOC_OPTIONS)
