# SPDX-License-Identifier: MIT
# Saves that are killed, calls that fail and disks that are full, against the shared library and
# diffusion train; not part of `check`.

KILL_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/kill/*.c))
KILL_COUNT ?= 200

$(BUILD)/obj/tests/kill/%.o: tests/kill/%.c $(FLAGS_FILE) | need-library need-program
	$(call compile,-Iinclude $(CFLAGS) -U_FORTIFY_SOURCE $(call cflags_of,libpng))

# -rdynamic: the functions of calls.c are called instead of libc's by the library too.
$(BUILD)/check_kill: $(KILL_OBJ) $(SHARED_LINKS)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -rdynamic $(KILL_OBJ) -L$(BUILD) -ldiffusion \
	-Wl,-rpath,'$$ORIGIN' $(call libs_of,libpng) -ldl -o $@

.PHONY: check-kill
check-kill: deps
	@$(MAKE) $(BUILD)/check_kill $(BUILD)/diffusion
	@sh tests/kill/check.sh $(BUILD) -n $(KILL_COUNT) $(KILL_OPTIONS)
