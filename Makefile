# libdiffusion. `make help` lists the targets and variables.

VERSION := $(shell sed -n 's/^.define DM_VERSION_[A-Z]* \([0-9]*\)$$/\1/p' include/diffusion.h | paste -sd.)
SOVERSION := 0

CC ?= cc
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
DESTDIR ?=
LDCONFIG ?= ldconfig
BUILD ?= build
OUT ?= out
BLAS ?= openblas
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O3 -g
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
SAY = @printf '  %-7s %s\n'

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith $(if $(WERROR),-Werror)
# Neither of these changes a result; both let loops be vectorised. Never -ffast-math: it would change the float mode of
# the program that loads the library.
MATH := -fno-math-errno -fno-trapping-math
COMMON = -std=c11 -fPIC -pthread $(WARN) $(MATH) -D_GNU_SOURCE -MMD -MP
INTERNAL = -fvisibility=hidden -Ilib -Isrc -Iinclude

$(if $(filter openblas blis none,$(BLAS)),,$(error BLAS is '$(BLAS)'; it must be openblas, blis or none))
# BLIS comes without a pkg-config file on Debian: then the compiler must find it by itself.
BLAS_PACKAGE := $(shell $(PKG_CONFIG) --exists $(BLAS) 2>/dev/null && echo $(BLAS))
LIB_PACKAGES := $(if $(filter blis,$(BLAS)),$(BLAS_PACKAGE),$(filter-out none,$(BLAS))) zlib jansson
EXAMPLE_PACKAGES := popt libpng
TEST_PACKAGES := check
BLAS_DEFINE := -DDMI_BLAS_$(shell echo $(BLAS) | tr a-z A-Z)
cflags_of = $(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null)
libs_of = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)
LIB_LIBS = $(call libs_of,$(LIB_PACKAGES))$(if $(filter blis,$(BLAS)),$(if $(BLAS_PACKAGE),, -lblis))

.PHONY: all
all: library examples

# ---- what is needed, and a clear word where it is missing ----

missing_of = $(shell for p in $(1); do $(PKG_CONFIG) --exists $$p 2>/dev/null || echo $$p; done)
MISSING_library = $(strip $(call missing_of,$(LIB_PACKAGES)) $(shell [ '$(BLAS)-$(BLAS_PACKAGE)' != blis- ] || \
	echo '\#include <blis.h>' | $(CC) -E - >/dev/null 2>&1 || echo blis))
MISSING_examples = $(strip $(call missing_of,$(EXAMPLE_PACKAGES)))
MISSING_tests = $(strip $(call missing_of,$(TEST_PACKAGES)))
MISSING = $(strip $(MISSING_library) $(MISSING_examples) $(MISSING_tests))
NEEDS := need-library need-examples need-tests

.PHONY: deps $(NEEDS)
deps:
	@if [ -n "$(MISSING)" ]; then echo "missing: $(MISSING)"; sh pkgconfig/install-deps.sh $(BLAS); fi
$(NEEDS): need-%:
	@if [ -n "$(MISSING_$*)" ]; then \
	echo "error: pkg-config does not find what the $* need$(if $(filter library,$*),s): $(MISSING_$*)" >&2; \
	echo "       'make deps' installs what is missing from your distribution" >&2; exit 1; fi

# ---- the library ----

# Kernels are compiled once for each instruction set, and the best one is chosen when a context is made.
ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)
ifeq ($(ARCH),x86_64)
ISAS := base v3 v4
ISA_base := -ffp-contract=off
ISA_v3 := -march=x86-64-v3 -ffp-contract=fast
ISA_v4 := -march=x86-64-v4 -mprefer-vector-width=512 -ffp-contract=fast
else
ISAS := base
ISA_base := -ffp-contract=fast
endif
ifeq ($(ARCH),aarch64)
# gcc would load all of a row's elements ahead of the products, and the sums of a tile of 12 rows would leave their registers.
ISA_base += $(shell echo | $(CC) -Werror -fno-schedule-insns -E - >/dev/null 2>&1 && echo -fno-schedule-insns)
endif
ISA_DEFINES := $(ISAS:%=-DDMI_HAVE_ISA_%)

ONCE := lib/kernels/gemm.c lib/kernels/select.c
KERNEL_SRC := $(filter-out $(ONCE),$(wildcard lib/kernels/*.c))
LIB_SRC := $(filter-out $(KERNEL_SRC),$(wildcard lib/*/*.c lib/*/*/*.c src/*.c src/*/*.c src/*/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(foreach i,$(ISAS),$(KERNEL_SRC:%.c=$(BUILD)/obj/%.$(i).o))

STATIC := $(BUILD)/libdiffusion.a
SHARED := $(BUILD)/libdiffusion.so.$(VERSION)
SHARED_LINKS := $(BUILD)/libdiffusion.so.$(SOVERSION) $(BUILD)/libdiffusion.so

# The compiler and its flags, written anew only where they change: then everything is compiled again.
FLAGS_FILE := $(BUILD)/flags
.PHONY: force
$(FLAGS_FILE): export NOW = $(CC) $(filter-out -Werror,$(COMMON)) $(foreach i,$(ISAS),$(ISA_$(i))) $(BLAS_DEFINE) $(CFLAGS) $(LDFLAGS) \
	$(call cflags_of,$(LIB_PACKAGES)) $(LIB_LIBS)
$(FLAGS_FILE): force
	@mkdir -p $(@D)
	@printf '%s\n' "$$NOW" | cmp -s - $@ || printf '%s\n' "$$NOW" > $@

.PHONY: library
library: $(STATIC) $(SHARED_LINKS)

$(BUILD)/obj/lib/%.o: lib/%.c $(FLAGS_FILE) | need-library
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(COMMON) $(INTERNAL) -ffp-contract=off $(CFLAGS) $(call cflags_of,$(LIB_PACKAGES)) $(ISA_DEFINES) $(BLAS_DEFINE) -c $< -o $@

$(BUILD)/obj/src/%.o: src/%.c $(FLAGS_FILE) | need-library
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(COMMON) $(INTERNAL) -ffp-contract=off $(CFLAGS) $(call cflags_of,$(LIB_PACKAGES)) -c $< -o $@

define kernel_rule
$(BUILD)/obj/lib/kernels/%.$(1).o: lib/kernels/%.c $(FLAGS_FILE) | need-library
	@mkdir -p $$(@D)
	$(SAY) "CC $(1)" $$<
	$(Q)$(CC) $(COMMON) $(INTERNAL) $(CFLAGS) $(ISA_$(1)) -DDMI_ISA=$(1) -c $$< -o $$@
endef
$(foreach i,$(ISAS),$(eval $(call kernel_rule,$(i))))

$(STATIC): $(LIB_OBJ)
	$(SAY) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ) src/libdiffusion.map $(FLAGS_FILE)
	$(SAY) LD $@
	$(Q)$(CC) -shared -pthread $(CFLAGS) $(LDFLAGS) -Wl,-soname,libdiffusion.so.$(SOVERSION) -Wl,--version-script=src/libdiffusion.map \
	-Wl,--no-undefined -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack $(LIB_OBJ) $(LIB_LIBS) -lm -o $@

$(SHARED_LINKS): $(SHARED)
	$(Q)ln -sf $(<F) $@

# ---- examples: only the public header, only the shared library ----

EXAMPLES := demo train_cifar10 sample distance evaluate
EXAMPLE_BIN := $(EXAMPLES:%=$(BUILD)/%)
EXAMPLE_COMMON := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(EXAMPLES:%=examples/%.c),$(wildcard examples/*.c)))

.PHONY: examples
examples: $(EXAMPLE_BIN)

$(BUILD)/obj/examples/%.o: examples/%.c $(FLAGS_FILE) | need-examples
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(COMMON) -Iinclude $(CFLAGS) $(call cflags_of,$(EXAMPLE_PACKAGES)) -c $< -o $@

$(EXAMPLE_BIN): $(BUILD)/%: $(BUILD)/obj/examples/%.o $(EXAMPLE_COMMON) $(SHARED_LINKS)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $< $(EXAMPLE_COMMON) -L$(BUILD) -ldiffusion -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib' \
	$(call libs_of,$(EXAMPLE_PACKAGES)) -lm -o $@

.PHONY: demo
demo: deps
	@$(MAKE) --no-print-directory library $(BUILD)/demo
	@$(BUILD)/demo --out $(OUT)/demo $(DEMO_OPTIONS)

# ---- tests: Check suites, and scripts that hold the house to its rules ----

# Each tests/*/test_X.c defines Suite *test_X_suite(void); the runner is made from the list.
TEST_SRC := $(wildcard tests/unit/test_*.c tests/golden/test_*.c)
TEST_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(TEST_SRC) $(wildcard tests/support/*.c))
TEST_NAMES := $(basename $(notdir $(TEST_SRC)))

$(BUILD)/obj/tests/%.o: tests/%.c $(FLAGS_FILE) | need-library need-tests
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(COMMON) $(INTERNAL) -Itests $(CFLAGS) $(call cflags_of,$(LIB_PACKAGES) $(TEST_PACKAGES)) $(BLAS_DEFINE) -c $< -o $@

$(BUILD)/run_tests.c: $(TEST_SRC) Makefile
	@mkdir -p $(@D)
	@{ echo '/* Made by the Makefile. */'; echo '#include <check.h>'; echo '#include <stdlib.h>'; \
	for t in $(TEST_NAMES); do echo "Suite *$${t}_suite(void);"; done; \
	echo 'int main(void) {'; echo '    SRunner *runner = srunner_create(suite_create("libdiffusion"));'; \
	for t in $(TEST_NAMES); do echo "    srunner_add_suite(runner, $${t}_suite());"; done; \
	echo '    srunner_run_all(runner, CK_ENV);'; echo '    int failed = srunner_ntests_failed(runner);'; \
	echo '    srunner_free(runner);'; echo '    return failed ? EXIT_FAILURE : EXIT_SUCCESS;'; echo '}'; } > $@

$(BUILD)/run_tests: $(BUILD)/run_tests.c $(TEST_OBJ) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) -std=c11 $(CFLAGS) $(call cflags_of,$(TEST_PACKAGES)) $< $(TEST_OBJ) $(STATIC) \
	$(LIB_LIBS) $(call libs_of,$(TEST_PACKAGES)) -lm -pthread -o $@

.PHONY: check check-house test-run
check: deps
	@$(MAKE) --no-print-directory check-house
	@$(MAKE) --no-print-directory test-run
check-house: library examples
	@sh tests/tools/floors.sh
	@sh tests/tools/header.sh "$(CC)" "$(CXX)"
	@sh tests/tools/symbols.sh $(BUILD)
	@sh tests/tools/baseline.sh "$(CC) $(CFLAGS)" $(BUILD)
	@MAKE="$(MAKE)" sh tests/install/run.sh "$(CC)" $(BUILD)
	@sh tests/tools/examples.sh $(BUILD)
test-run: $(BUILD)/run_tests
	@DM_TEST_BUILD=$(BUILD) $(BUILD)/run_tests

# Kernels of processors that are not here, under qemu-user; not part of `check`.
.PHONY: check-aarch64 check-x86-levels check-blas check-no-blas
check-aarch64:
	@MAKE="$(MAKE)" sh tests/tools/aarch64.sh $(BUILD)
check-x86-levels: $(BUILD)/run_tests
	@sh tests/tools/x86_levels.sh $(BUILD)
# The same products with each variant of the BLAS library, whatever the alternatives of the system choose.
check-blas: $(BUILD)/run_tests
	@DM_TEST_BUILD=$(BUILD) sh tests/tools/blas.sh $(BUILD)/run_tests $(BLAS)
# Builds the library with BLAS=none in $(BUILD)/none.
check-no-blas:
	@MAKE="$(MAKE)" sh tests/tools/no_blas.sh "$(CC)" $(BUILD)

# What allocates, reads files or has threads; the proofs of kernels, which are arithmetic by the hour here, are left out. Fair
# scheduling, since the pool's threads wait for one another.
VALGRIND_SUITES := base file random pool metadata options safetensors targz png image dataset cifar10 context schedule graph \
	trainer_options loss loss_weights timestep_sampling training_options averages solver sampler batch trainer trainer_run checkpoint plan recompute unet unet_file bad_input
.PHONY: valgrind
valgrind: $(BUILD)/run_tests
	@failed=; for suite in $(VALGRIND_SUITES); do DM_TEST_BUILD=$(BUILD) CK_RUN_SUITE=$$suite CK_FORK=no CK_TIMEOUT_MULTIPLIER=50 \
	CK_EXCLUDE_TAGS=slow valgrind -q --fair-sched=yes --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
	--error-exitcode=9 $(BUILD)/run_tests || failed="$$failed $$suite"; done; \
	if [ -n "$$failed" ]; then echo "valgrind: failed:$$failed"; exit 1; fi

# ---- speed ----

BENCH_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/*.c))

$(BUILD)/obj/tests/bench/%.o: tests/bench/%.c $(FLAGS_FILE) | need-library need-examples
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(COMMON) $(INTERNAL) -Iexamples $(CFLAGS) $(call cflags_of,$(LIB_PACKAGES) $(EXAMPLE_PACKAGES)) -c $< -o $@

$(BUILD)/bench: $(BENCH_OBJ) $(BUILD)/obj/examples/profile_table.o $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(BENCH_OBJ) $(BUILD)/obj/examples/profile_table.o $(STATIC) $(LIB_LIBS) $(call libs_of,$(EXAMPLE_PACKAGES)) -lm -pthread -o $@

.PHONY: bench
bench: deps
	@$(MAKE) --no-print-directory $(BUILD)/bench
	@sh tests/bench/run.sh $(BUILD) $(BENCH_OPTIONS)

# ---- the error of convolutions, layer by layer ----

ERROR_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/error/*.c))
$(BUILD)/winograd_error: $(ERROR_OBJ) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ERROR_OBJ) $(STATIC) $(LIB_LIBS) -lm -pthread -o $@

.PHONY: error-report
error-report: deps
	@$(MAKE) --no-print-directory $(BUILD)/winograd_error
	@$(BUILD)/winograd_error $(ERROR_NETWORK)

# ---- install ----

# A folder below PREFIX, as pkg-config writes it: ${prefix}/lib. The mark keeps the match at the beginning.
below_prefix = $(subst ^,,$(subst ^$(PREFIX)/,$${prefix}/,^$(1)))

INSTALLED := sample evaluate distance

# Ends with telling the loader, where it looks into LIBDIR at all.
.PHONY: install uninstall
install: library examples
	install -d "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(BINDIR)"
	install -m 644 include/diffusion.h "$(DESTDIR)$(INCLUDEDIR)/diffusion.h"
	install -m 644 $(STATIC) "$(DESTDIR)$(LIBDIR)/libdiffusion.a"
	install -m 755 $(SHARED) "$(DESTDIR)$(LIBDIR)/libdiffusion.so.$(VERSION)"
	ln -sf libdiffusion.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libdiffusion.so.$(SOVERSION)"
	ln -sf libdiffusion.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libdiffusion.so"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(call below_prefix,$(LIBDIR))|' -e 's|@INCLUDEDIR@|$(call below_prefix,$(INCLUDEDIR))|' \
	-e 's|@VERSION@|$(VERSION)|' -e 's|@PRIVATE@|$(LIB_LIBS)|' pkgconfig/diffusion.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/diffusion.pc"
	install -m 755 $(BUILD)/train_cifar10 "$(DESTDIR)$(BINDIR)/diffusion-train-cifar10"
	for program in $(INSTALLED); do install -m 755 "$(BUILD)/$$program" "$(DESTDIR)$(BINDIR)/diffusion-$$program" || exit 1; done
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && $(LDCONFIG) -N -v 2>/dev/null | grep -q -e '^$(LIBDIR):' -e '^$(LIBDIR:/usr/%=/%):'; then \
	echo $(LDCONFIG); $(LDCONFIG) || true; fi

uninstall:
	rm -f "$(DESTDIR)$(INCLUDEDIR)/diffusion.h" "$(DESTDIR)$(LIBDIR)/libdiffusion.a" "$(DESTDIR)$(LIBDIR)"/libdiffusion.so* \
	"$(DESTDIR)$(LIBDIR)/pkgconfig/diffusion.pc" "$(DESTDIR)$(BINDIR)/diffusion-train-cifar10"
	for program in $(INSTALLED); do rm -f "$(DESTDIR)$(BINDIR)/diffusion-$$program"; done

.PHONY: clean help
clean:
	rm -rf $(BUILD)

help:
	@echo 'make            the library, static and shared, and the examples, in $(BUILD)/'
	@echo 'make demo       trains on built-in pictures and samples, in a few minutes; pictures in $(OUT)/demo/'
	@echo 'make check      the tests'
	@echo 'make bench      speed, beside PyTorch where python3 has it'
	@echo 'make error-report  the error of each 3x3 layer of the 35.7M network against double precision'
	@echo 'make check-aarch64, check-x86-levels   the kernels of other processors under qemu-user'
	@echo 'make check-blas  products with each variant of OpenBLAS or BLIS that is installed'
	@echo 'make check-no-blas  a build without BLAS needs none and runs in 20 MB of address space'
	@echo 'make valgrind   the tests under valgrind (slow)'
	@echo 'make install    to PREFIX (/usr/local), below DESTDIR; make uninstall takes it away'
	@echo 'make deps       installs what is missing from your distribution; demo and check do this themselves'
	@echo 'make clean      removes $(BUILD)/'
	@echo
	@echo 'variables: CC CFLAGS LDFLAGS PREFIX LIBDIR INCLUDEDIR BINDIR DESTDIR BUILD OUT BLAS=openblas|blis|none WERROR=1 V=1'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
