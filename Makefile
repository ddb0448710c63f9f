# SPDX-License-Identifier: MIT
# libdiffusion. `make help` lists the targets and variables.

VERSION := $(shell sed -n 's/^.define DM_VERSION_[A-Z]* \([0-9]*\)$$/\1/p' include/diffusion.h \
	| paste -s -d. -)
SOVERSION := 0

include pkgconfig/system.mk
BUILD ?= build$(HOST:%=/%)
OUT ?= out
BLAS ?= openblas
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O3 -g
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
comma := ,
SAY = @printf '  %-7s %s\n'
MAKEFLAGS += --no-print-directory

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith \
	$(if $(WERROR),-Werror)
# Neither changes a result; both let loops be vectorised. Never -ffast-math: it would change
# the floating-point mode of the program that loads the library.
MATH := -fno-math-errno -fno-trapping-math
COMMON = -std=c11 $(PIC) $(PTHREAD) $(WARN) $(MATH) -D_GNU_SOURCE \
	$(SYSTEM_FLAGS) -MMD -MP
# Files do not depend on the folder in which they are built.
REPRODUCIBLE := -ffile-prefix-map="$(CURDIR)"=.
INTERNAL = -fvisibility=hidden -Ilib -Isrc -Iinclude

$(if $(filter openblas blis none,$(BLAS)),,$(error BLAS is '$(BLAS)'; it must be openblas, blis or none))
# What the library needs: packages of pkg-config, or, where a system has no such file (BLIS on
# Debian, zlib of MinGW-w64), what the compiler finds by itself.
NEEDED := $(filter-out none,$(BLAS)) zlib
LIB_PACKAGES := $(foreach p,$(NEEDED),$(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p)))
links_with = $(shell echo '\#include <$(1)>' | $(CC) $(CPPFLAGS) -x c - -shared $(LDFLAGS) $(2) \
	-o /dev/null >/dev/null 2>&1 && echo $(2))
PLAIN_zlib = $(call links_with,zlib.h,-lz)
PLAIN_blis = $(call links_with,blis.h,-lblis)
PLAIN_LIBS := $(foreach p,$(filter-out $(LIB_PACKAGES),$(NEEDED)),$(PLAIN_$(p)))
EXAMPLE_PACKAGES := libpng libjpeg libzip zlib
# What the program does without where it is missing.
OPTIONAL_PACKAGES := $(shell $(PKG_CONFIG) --exists libsixel 2>/dev/null && echo libsixel)
TEST_PACKAGES := check
BENCH_PACKAGES := jansson popt
BLAS_DEFINE := -DDMI_BLAS_$(shell echo $(BLAS) | tr a-z A-Z)
cflags_of = $(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null)
libs_of = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)
LIB_LIBS = $(strip $(call libs_of,$(LIB_PACKAGES)) $(PLAIN_LIBS))

# Compiles one file with the flags of its kind; a second argument is printed.
define compile
@mkdir -p $(@D)
$(SAY) "CC $(2)" $<
$(Q)$(CC) $(COMMON) $(REPRODUCIBLE) $(1) $(CPPFLAGS) -c $< -o $@
endef

.PHONY: all
all: library examples

# ---- packages that are needed ----

missing_of = $(shell for p in $(1); do $(PKG_CONFIG) --exists $$p 2>/dev/null || echo $$p; done)
MISSING_library = $(strip $(foreach p,$(filter-out $(LIB_PACKAGES),$(NEEDED)),\
	$(if $(PLAIN_$(p)),,$(p))))
MISSING_program = $(strip $(call missing_of,$(EXAMPLE_PACKAGES)))
MISSING_tests = $(strip $(call missing_of,$(TEST_PACKAGES)))
MISSING_bench = $(strip $(call missing_of,$(BENCH_PACKAGES)))
MISSING = $(strip $(MISSING_library) $(MISSING_program) $(MISSING_tests))
NEEDS := need-library need-program need-tests need-bench

.PHONY: deps $(NEEDS)
deps:
	@[ -z "$(MISSING)" ] || { echo "missing: $(MISSING)"; sh pkgconfig/install-deps.sh $(BLAS); }
$(NEEDS): need-%:
	@sh pkgconfig/require-packages.sh "$* need$(if $(filter library program,$*),s)" "$(MISSING_$*)" \
	"$(HOST)"

# ---- the library ----

# Kernels are compiled once for each instruction set; the best one that the processor has is chosen
# when a context is created.
ifeq ($(ARCH),x86_64)
ISAS := base v3 v4
ISA_base := -ffp-contract=off
ISA_v3 := -march=x86-64-v3 -ffp-contract=fast $(ISA_SYSTEM)
ISA_v4 := -march=x86-64-v4 -mprefer-vector-width=512 -ffp-contract=fast $(ISA_SYSTEM)
else
ISAS := base
ISA_base := -ffp-contract=fast
endif
ifeq ($(ARCH),aarch64)
# Otherwise gcc loads all elements of a row before the products, and spills the sums of a tile of
# 12 rows.
ISA_base += $(shell echo | $(CC) -Werror -fno-schedule-insns -E - >/dev/null 2>&1 && \
	echo -fno-schedule-insns)
endif
ISA_DEFINES := $(ISAS:%=-DDMI_HAVE_ISA_%)

ONCE := lib/kernels/gemm.c lib/kernels/select.c lib/kernels/bf16_product.c
KERNEL_SRC := $(sort $(filter-out $(ONCE),$(wildcard lib/kernels/*.c)))
# Those whose activations are floats or, compiled a second time, bfloat16: kernels/stored.h.
STORED_SRC := $(addprefix lib/kernels/,norm.c norm_backward.c winograd.c winograd_forward.c \
	winograd_gradient.c)
LIB_SRC := $(sort $(filter-out $(KERNEL_SRC),$(wildcard lib/*/*.c lib/*/*/*.c src/*/*.c \
	src/*/*/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) \
	$(foreach i,$(ISAS),$(KERNEL_SRC:%.c=$(BUILD)/obj/%.$(i).o) \
	$(STORED_SRC:%.c=$(BUILD)/obj/%.bf16.$(i).o))

STATIC := $(BUILD)/libdiffusion.a
SHARED := $(BUILD)/$(SHARED_NAME)
SHARED_LINKS := $(SHARED_LINK_NAMES:%=$(BUILD)/%)

# The compiler and its flags, rewritten only when they change: then everything is compiled again.
FLAGS_FILE := $(BUILD)/flags
.PHONY: force
$(FLAGS_FILE): export NOW = $(CC) $(filter-out -Werror,$(COMMON)) $(foreach i,$(ISAS),$(ISA_$(i))) \
	$(BLAS_DEFINE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(call cflags_of,$(LIB_PACKAGES)) $(LIB_LIBS)
$(FLAGS_FILE): force
	@mkdir -p $(@D)
	@printf '%s\n' "$$NOW" | cmp -s - $@ || printf '%s\n' "$$NOW" > $@

.PHONY: library
library: $(STATIC) $(SHARED_LINKS) $(BUILD)/diffusion-uninstalled.pc

$(BUILD)/obj/lib/%.o: lib/%.c $(FLAGS_FILE) | need-library
	$(call compile,$(INTERNAL) -ffp-contract=off $(CFLAGS) $(call cflags_of,$(LIB_PACKAGES)) \
	$(ISA_DEFINES) $(BLAS_DEFINE))

$(BUILD)/obj/src/%.o: src/%.c $(FLAGS_FILE) | need-library
	$(call compile,$(INTERNAL) -ffp-contract=off $(CFLAGS) $(call cflags_of,$(LIB_PACKAGES)))

define kernel_rule
$(BUILD)/obj/lib/kernels/%.bf16.$(1).o: lib/kernels/%.c $(FLAGS_FILE) | need-library
	$$(call compile,$$(INTERNAL) $$(CFLAGS) $$(ISA_$(1)) -DDMI_ISA=$(1) -DDMI_BF16,bf16.$(1))
$(BUILD)/obj/lib/kernels/%.$(1).o: lib/kernels/%.c $(FLAGS_FILE) | need-library
	$$(call compile,$$(INTERNAL) $$(CFLAGS) $$(ISA_$(1)) -DDMI_ISA=$(1),$(1))
endef
$(foreach i,$(ISAS),$(eval $(call kernel_rule,$(i))))

$(STATIC): $(LIB_OBJ)
	$(SAY) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ) src/libdiffusion.map $(FLAGS_FILE)
	$(SAY) LD $@
	$(Q)$(CC) -pthread $(CFLAGS) $(LDFLAGS) $(LD_SHARED) $(LIB_OBJ) $(LIB_LIBS) -lm -o $@

# On Windows the linker writes the import library.
$(filter-out %.dll.a,$(SHARED_LINKS)): $(SHARED)
	$(Q)ln -sf $(<F) $@
$(filter %.dll.a,$(SHARED_LINKS)): $(SHARED) ;

# ---- the program and the examples: they see only the public header and the shared library ----

PROGRAM := $(BUILD)/diffusion$(EXE)
PROGRAM_SRC := $(sort $(wildcard examples/diffusion/*.c examples/diffusion/*/*.c))
PROGRAM_SRC := $(filter-out %/terminal_sixel$(if $(OPTIONAL_PACKAGES),_none).c,$(PROGRAM_SRC))
PROGRAM_PACKAGES := $(EXAMPLE_PACKAGES) $(OPTIONAL_PACKAGES)
# The page of a run, as arrays of C.
PAGE := $(addprefix examples/diffusion/report/page,.html .css _curves.js .js)
PAGE_C := $(BUILD)/page.c
EXAMPLES := train_cifar10 sample_ddpm sample_ddim own_denoiser inpainting game_loop walkthrough \
	super_resolution condition_vector guided_classifier guided_reconstruction
EXAMPLE_BIN := $(EXAMPLES:%=$(BUILD)/%$(EXE))
EXAMPLE_FLAGS :=
ifeq ($(SYSTEM),windows)
# Those that the tests need too, and the entry of programs.
WINDOWS_POSIX := $(patsubst %,$(BUILD)/obj/examples/windows/%.o,files posix)
WINDOWS_OBJ := $(WINDOWS_POSIX) $(BUILD)/obj/examples/windows/main.o
# gcc takes formats for those of Windows' own functions, which are not called.
EXAMPLE_FLAGS := -Wno-format -Wno-format-extra-args -Iexamples/windows \
	-include examples/windows/posix.h
endif
# The program without its main, which the tests need as well.
PROGRAM_PARTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(PROGRAM_SRC))) \
	$(BUILD)/obj/page.o
PROGRAM_OBJ := $(BUILD)/obj/examples/diffusion/main.o $(PROGRAM_PARTS) $(WINDOWS_OBJ)
LINK_LIBRARY = -L$(BUILD) -ldiffusion $(RPATH_ORIGIN) $(EXE_LIBS)
PROGRAM_LIBS = $(call libs_of,$(PROGRAM_PACKAGES)) -lm -pthread

.PHONY: program examples
program: $(PROGRAM)
examples: $(PROGRAM) $(EXAMPLE_BIN)

$(BUILD)/obj/examples/%.o: examples/%.c $(FLAGS_FILE)
	$(call compile,-Iinclude $(EXAMPLE_FLAGS) $(CFLAGS))

$(BUILD)/obj/examples/diffusion/%.o: examples/diffusion/%.c $(FLAGS_FILE) | need-program
	$(call compile,-Iinclude -Iexamples/diffusion $(EXAMPLE_FLAGS) $(CFLAGS) \
	$(call cflags_of,$(PROGRAM_PACKAGES)))

$(PAGE_C): examples/diffusion/report/embed.sh $(PAGE)
	@mkdir -p $(@D)
	$(Q)sh $< $(PAGE) > $@.new && mv $@.new $@
$(BUILD)/obj/page.o: $(PAGE_C) $(FLAGS_FILE)
	$(call compile,-Iexamples/diffusion $(CFLAGS))

# The tests need them as well.
$(BUILD)/obj/examples/windows/%.o: examples/windows/%.c $(FLAGS_FILE)
	$(call compile,$(CFLAGS))

$(PROGRAM): $(PROGRAM_OBJ) $(SHARED_LINKS)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PROGRAM_OBJ) $(LINK_LIBRARY) $(PROGRAM_LIBS) -o $@

GUIDED := guided_classifier guided_reconstruction
$(GUIDED:%=$(BUILD)/%$(EXE)): $(BUILD)/obj/examples/guided.o
$(EXAMPLE_BIN): $(BUILD)/%$(EXE): $(BUILD)/obj/examples/%.o $(SHARED_LINKS) $(WINDOWS_OBJ)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(LINK_LIBRARY) -lm -o $@

.PHONY: demo
demo: deps
	@$(MAKE) library program
	@$(PROGRAM) demo --out $(OUT)/demo $(DEMO_OPTIONS)

# The guide as web pages; needs pandoc.
.PHONY: site
site:
	@sh docs/guide/site.sh $(OUT)/site

include pkgconfig/install.mk
include examples/web/web.mk
include tests/tests.mk
include tests/abi/abi.mk
include tests/versions/versions.mk
include tests/static/static.mk
include tests/alloc/alloc.mk
include tests/fuzz/fuzz.mk
include tests/kill/kill.mk
include tests/coverage/coverage.mk

# ---- clean, help ----

.PHONY: clean help
clean:
	rm -rf $(BUILD)

define HELP
Times are for two cores, without the time to build.

make                   the library, static and shared, the program and the examples, in $(BUILD)/
make library           only the library, static and shared
make program           only the program `diffusion`
make demo              draws, trains and draws again; images in $(OUT)/demo/            3 min
make install           to PREFIX (/usr/local), below DESTDIR; make uninstall removes it
make install-lib       only the library and its manual pages
make site              docs/guide as web pages, in $(OUT)/site; needs pandoc
make reference         the HTML reference in $(BUILD)/reference/html; needs doxygen
make deb               Debian packages of the last commit, in $(OUT)/deb
make web               a page that trains in a browser: $(OUT)/web/index.html; needs emcc
make wheel             a Python wheel with a library of BLAS=none, in $(OUT)/wheel
make dist              an archive of the last commit, its checksum, Meson's files: $(OUT)/dist
make deps              installs missing packages; demo, check and the like do this too
make clean             removes $(BUILD)/

make check             check-source, check-build, check-abi and test-run       3 min
make check SUITE=a,b   only these suites: the X of tests/*/test_X.c
make check-all         check and the proofs below of the library on this machine     45 min
make check-quick       check-source and the suites that are fast                30 s
make check-source      layers, forbidden calls, file length, format, header     4 s
make check-layers      only the layers: includes never point upward             1 s
make check-abi         the public interface against the committed tables        5 s
make check-build       exported symbols, instructions, install, programs        30 s
make test-run          all suites, or SUITE                                     2 min
make check-static      clang-tidy, cppcheck and gcc -fanalyzer; FILES: only these    4 min
make sanitize          suites with ASan and UBSan, in $(BUILD)/sanitize            3 min
make tsan              suites with threads and TSan, in $(BUILD)/tsan              1 min
make valgrind          suites with little arithmetic under valgrind             3 min
make check-x86-levels  kernels of other x86-64 processors under qemu-user
make check-blas        products with each installed variant of the BLAS library
make check-alloc       every public function with each of its allocations refused in turn 2 min
make check-kill        saves that are killed at every call, failing calls, full disks    2 min
make check-damage      every flipped bit, every length of a saved checkpoint            9 min
make coverage          lines and branches that the tests run, by gcov; COVERAGE_FILES: details
make check-web         the page for browsers, against a native build and in Chromium   5 min
make check-machine     MACHINE=windows, aarch64, armhf, i386, musl or s390x: its tests
make check-bindings    examples in other languages, or LANGUAGES=rust,go          3 min
make check-diffusers   random networks, schedulers, pipelines against diffusers, if $$PYTHON has it
make check-clean-systems  the same, each with the packages of its README alone; as root  7 min
make check-packages    the same bytes in each folder, Meson, Debian packages           8 min
make check-no-blas     a build with BLAS=none links no BLAS and runs in 20 MB of address space

make fuzz              libFuzzer, FUZZ_SECONDS (60) for each FUZZ_TARGET (all); needs clang
make fuzz-replay       the fuzz corpora with any compiler; part of check-build  10 s

make bench             speed, beside PyTorch if python3 has it                  30 min
make bench-diffusers   published networks of diffusers at full size, beside it
make error-report      error of each 3x3 layer of the largest preset against double precision
make update-abi        adds to the tables of tests/abi; refuses anything but additions
make version-files     once for a release: its files in tests/versions, which must always load
make format            formats all C files with clang-format
make compile_commands.json   the compiler's commands, for editors and clang tools

variables: CC CFLAGS CPPFLAGS LDFLAGS BUILD OUT
           PREFIX DESTDIR, and LIBDIR INCLUDEDIR BINDIR MANDIR DATADIR, below PREFIX if relative
           BLAS=openblas|blis|none WERROR=1 V=1 SUITE LDCONFIG PKG_CONFIG
           FUZZ_SECONDS FUZZ_RUNS FUZZ_TARGET=a,b FUZZ_CC: see tests/fuzz/README.md
           ALLOC_OPTIONS KILL_OPTIONS DEMO_OPTIONS BENCH_OPTIONS ERROR_NETWORK: arguments of
           these programs; KILL_COUNT=n: random kills of check-kill, 200
endef
help:
	@: $(info $(HELP))

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
