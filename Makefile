# libdiffusion. `make help` lists the targets.

VERSION_MAJOR := $(shell sed -n 's/^.define DM_VERSION_MAJOR //p' include/diffusion.h)
VERSION_MINOR := $(shell sed -n 's/^.define DM_VERSION_MINOR //p' include/diffusion.h)
VERSION_PATCH := $(shell sed -n 's/^.define DM_VERSION_PATCH //p' include/diffusion.h)
VERSION := $(VERSION_MAJOR).$(VERSION_MINOR).$(VERSION_PATCH)

CC ?= cc
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
BUILD ?= build
BLAS ?= openblas
PKG_CONFIG ?= pkg-config
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

CFLAGS ?= -O3 -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith $(if $(WERROR),-Werror)
# Neither flag changes a result; both let loops be vectorised. Never -ffast-math: it would change the host's float mode.
MATH := -fno-math-errno -fno-trapping-math -ffp-contract=off
BASE_FLAGS = -std=c11 -fPIC -fvisibility=hidden -pthread $(WARN) $(MATH) -Ilib -Isrc -Iinclude -D_GNU_SOURCE -MMD -MP

DEPS_PC := $(BLAS) zlib jansson
DEPS_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(DEPS_PC))
DEPS_LIBS = $(shell $(PKG_CONFIG) --libs $(DEPS_PC))
BLAS_FLAG := -DDMI_BLAS_$(shell echo $(BLAS) | tr a-z A-Z)

# Kernels are compiled once for each instruction set of the machine's architecture, and chosen when a context is made.
ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)
ifeq ($(ARCH),x86_64)
ISAS := base v3 v4
ISA_FLAGS_v3 := -march=x86-64-v3 -ffp-contract=fast
ISA_FLAGS_v4 := -march=x86-64-v4 -mprefer-vector-width=512 -ffp-contract=fast
else
ISAS := base
ISA_FLAGS_base := -ffp-contract=fast
endif
ISA_DEFS := $(foreach i,$(ISAS),-DDMI_HAVE_ISA_$(i))

# In lib/kernels these are compiled once; all others there once for each instruction set.
ONCE := lib/kernels/gemm.c lib/kernels/select.c
KERNEL_SRC := $(filter-out $(ONCE),$(wildcard lib/kernels/*.c))
LIB_SRC := $(filter-out $(KERNEL_SRC),$(wildcard lib/*/*.c lib/*/*/*.c src/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(foreach i,$(ISAS),$(KERNEL_SRC:%.c=$(BUILD)/obj/%.$(i).o))

STATIC := $(BUILD)/libdiffusion.a
SHARED := $(BUILD)/libdiffusion.so.$(VERSION)
SONAME := libdiffusion.so.0

.PHONY: all
all: $(STATIC)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(BASE_FLAGS) $(CFLAGS) $(DEPS_CFLAGS) $(ISA_DEFS) $(BLAS_FLAG) -c $< -o $@

define kernel_rule
$(BUILD)/obj/%.$(1).o: %.c
	@mkdir -p $$(@D)
	@echo "  CC $(1) $$<"
	$(Q)$(CC) $(BASE_FLAGS) $(CFLAGS) $(ISA_FLAGS_$(1)) -DDMI_ISA=$(1) -c $$< -o $$@
endef
$(foreach i,$(ISAS),$(eval $(call kernel_rule,$(i))))

$(STATIC): $(LIB_OBJ)
	@echo "  AR      $@"
	$(Q)rm -f $@ && ar rcs $@ $^

# Each tests/unit/test_X.c and tests/golden/test_X.c defines Suite *test_X_suite(void); the runner is made from the list.
TEST_SRC := $(wildcard tests/unit/test_*.c tests/golden/test_*.c)
TEST_NAMES := $(basename $(notdir $(TEST_SRC)))
TEST_OBJ := $(TEST_SRC:%.c=$(BUILD)/obj/%.o) $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/support/*.c))
CHECK_FLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)

$(BUILD)/obj/tests/%.o: BASE_FLAGS += -Itests $(CHECK_FLAGS)

$(BUILD)/run_tests.c: $(TEST_SRC) Makefile
	@mkdir -p $(@D)
	@{ echo '#include <check.h>'; echo '#include <stdlib.h>'; \
	for t in $(TEST_NAMES); do echo "Suite *$${t}_suite(void);"; done; \
	echo 'int main(void) { SRunner *r = srunner_create(suite_create("libdiffusion"));'; \
	for t in $(TEST_NAMES); do echo "srunner_add_suite(r, $${t}_suite());"; done; \
	echo 'srunner_run_all(r, CK_ENV); int f = srunner_ntests_failed(r); srunner_free(r); return f ? EXIT_FAILURE : EXIT_SUCCESS; }'; } > $@

$(BUILD)/run_tests: $(BUILD)/run_tests.c $(TEST_OBJ) $(STATIC)
	$(Q)$(CC) -std=c11 $(CFLAGS) $(CHECK_FLAGS) $(BUILD)/run_tests.c $(TEST_OBJ) $(STATIC) $(DEPS_LIBS) $(CHECK_LIBS) -lm -pthread -o $@

.PHONY: test-run
test-run: $(BUILD)/run_tests
	$(BUILD)/run_tests

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
