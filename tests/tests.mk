# SPDX-License-Identifier: MIT
# Tests, measurements and tools for developers; included by the Makefile.

# ---- tests ----

# Each tests/*/test_X.c defines Suite *test_X_suite(void), the suite X. The main program is written
# from the list of files.
TEST_SRC := $(wildcard tests/unit/test_*.c tests/golden/test_*.c)
TEST_C := $(wildcard $(addprefix tests/,unit/*.c golden/*.c support/*.c))
# The system calls that tests/support/system_calls.c can make fail.
WRAPPED := open fcntl close fstat lstat fsync flock read pread pwrite pthread_create
TEST_FLAGS :=
TEST_LDFLAGS :=
# Files that a system cannot compile.
LEFT_OUT :=
ifeq ($(SYSTEM),windows)
include tests/machines/windows.mk
else ifneq ($(SYSTEM_FLAGS),$(subst -D_FILE_OFFSET_BITS,,$(SYSTEM_FLAGS)))
# There these calls have a name for large files.
LARGE := open fcntl fstat lstat pread pwrite
WRAPPED := $(filter-out $(LARGE),$(WRAPPED)) $(LARGE:%=%64)
TEST_FLAGS += $(foreach w,$(LARGE),-D__wrap_$(w)=__wrap_$(w)64 -D__real_$(w)=__real_$(w)64)
endif
TEST_OBJ := $(TEST_C:%.c=$(BUILD)/obj/%.o)
TEST_NAMES := $(basename $(notdir $(TEST_SRC)))
SUITES := $(TEST_NAMES:test_%=%)
RUNNER := $(BUILD)/run_tests$(EXE)

$(BUILD)/obj/tests/%.o: tests/%.c $(FLAGS_FILE) | need-library need-tests
	$(call compile,$(INTERNAL) -Itests $(TEST_FLAGS) $(CFLAGS) $(BLAS_DEFINE) \
	$(call cflags_of,$(LIB_PACKAGES) $(TEST_PACKAGES)))

$(RUNNER).c: force
	@mkdir -p $(@D)
	@sh tests/tools/make_runner.sh $(TEST_NAMES) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(RUNNER): $(RUNNER).c $(TEST_OBJ) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) -std=c11 $(CFLAGS) $(LDFLAGS) $(TEST_LDFLAGS) \
	$(call cflags_of,$(TEST_PACKAGES)) $< $(TEST_OBJ) $(STATIC) \
	$(WRAPPED:%=-Wl,--wrap=%) $(LIB_LIBS) $(call libs_of,$(TEST_PACKAGES)) -lm -pthread -o $@

# The units of the program: tests/program/test_X.c, in a test program of their own, since they need
# what the program needs.
PROGRAM_TEST_SRC := $(filter-out $(LEFT_OUT) \
	$(if $(OPTIONAL_PACKAGES),,%/test_terminal_sixel.c),$(wildcard tests/program/test_*.c))
PROGRAM_TEST_NAMES := $(basename $(notdir $(PROGRAM_TEST_SRC)))
PROGRAM_TEST_OBJ := $(PROGRAM_TEST_SRC:%.c=$(BUILD)/obj/%.o) \
	$(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(LEFT_OUT),$(wildcard tests/support/*.c)))
PROGRAM_RUNNER := $(BUILD)/run_program_tests$(EXE)

$(BUILD)/obj/tests/program/%.o: tests/program/%.c $(FLAGS_FILE) | need-program need-tests
	$(call compile,$(INTERNAL) -Itests -Iexamples/diffusion $(TEST_FLAGS) $(CFLAGS) \
	$(call cflags_of,$(LIB_PACKAGES) $(PROGRAM_PACKAGES) $(TEST_PACKAGES)))

$(PROGRAM_RUNNER).c: force
	@mkdir -p $(@D)
	@sh tests/tools/make_runner.sh $(PROGRAM_TEST_NAMES) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(PROGRAM_RUNNER): $(PROGRAM_RUNNER).c $(PROGRAM_TEST_OBJ) $(PROGRAM_PARTS) $(WINDOWS_POSIX) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) -std=c11 $(CFLAGS) $(LDFLAGS) $(TEST_LDFLAGS) $(call cflags_of,$(TEST_PACKAGES)) $< \
	$(PROGRAM_TEST_OBJ) $(PROGRAM_PARTS) $(WINDOWS_POSIX) $(STATIC) $(WRAPPED:%=-Wl,--wrap=%) \
	$(LIB_LIBS) $(PROGRAM_LIBS) $(call libs_of,$(TEST_PACKAGES)) -lm -pthread -o $@

.PHONY: check check-quick check-source check-layers check-build test-run
ifdef SUITE
check: deps
	@$(MAKE) test-run
else
check: deps
	@$(MAKE) check-source
	@$(MAKE) check-build
	@$(MAKE) check-abi
	@$(MAKE) test-run
endif

# Suites that take more than two seconds each.
SLOW_SUITES := any_network any_options any_training attention conv evaluate kernels_norm mixers mixture ops \
	pair recipe_torch trained_mixture trainer unet_torch distilled
check-quick: deps
	@$(MAKE) check-source
	@$(MAKE) test-run SUITE="$(filter-out $(SLOW_SUITES),$(SUITES))"

check-source: check-layers
	@sh tests/tools/check_calls.sh
	@sh tests/tools/check_program.sh
	@sh tests/tools/check_length.sh
	@sh tests/tools/check_licence.sh
	@sh tests/tools/check_format.sh
	@sh tests/tools/header.sh "$(CC)" "$(CXX)"
check-layers:
	@sh tests/tools/check_layers.sh

check-build: library examples
	@$(if $(HAVE_DOXYGEN),$(MAKE) reference,echo "reference: left out, no doxygen")
	@sh tests/tools/symbols.sh $(BUILD)
	@sh tests/tools/baseline.sh "$(CC) $(CFLAGS)" $(BUILD)
	@MAKE="$(MAKE)" sh tests/install/run.sh "$(CC)" $(BUILD)
	@sh tests/tools/program.sh $(BUILD)
	@sh tests/tools/program_options.sh $(BUILD)
	@sh tests/tools/examples.sh $(BUILD)
	@sh tests/tools/program_io.sh $(BUILD)
	@sh tests/tools/guide.sh $(BUILD)
	@$(MAKE) fuzz-replay

# All suites, or the ones in SUITE, separated by spaces or commas, each a suite or suite/case; with
# EXHAUSTIVE=1 also tests of many minutes.
test-run: export DM_TEST_BUILD = $(BUILD)
test-run: export CK_EXCLUDE_TAGS = $(if $(EXHAUSTIVE),,exhaustive)
# Machines may be slow or busy; the limits in tests are for idle ones.
test-run: export CK_TIMEOUT_MULTIPLIER ?= 5
ASKED := $(subst $(comma), ,$(SUITE))
ASKED_PROGRAM := $(strip $(foreach s,$(ASKED),\
	$(if $(filter $(firstword $(subst /, ,$(s))),$(PROGRAM_TEST_NAMES:test_%=%)),$(s))))
ASKED_LIBRARY := $(filter-out $(ASKED_PROGRAM),$(ASKED))
test-run: $(if $(ASKED),$(if $(ASKED_LIBRARY),$(RUNNER)) $(if $(ASKED_PROGRAM),$(PROGRAM_RUNNER)),\
		$(RUNNER) $(PROGRAM_RUNNER))
	@$(if $(ASKED_LIBRARY),sh tests/tools/run_suites.sh $(RUNNER) '' $(ASKED_LIBRARY))
	@$(if $(ASKED_PROGRAM),sh tests/tools/run_suites.sh $(PROGRAM_RUNNER) '' $(ASKED_PROGRAM))
	@$(if $(ASKED),,$(PROGRAM_RUNNER))
	@$(if $(ASKED),,$(RUNNER))

# The suites that allocate, read files or have threads.
MEMORY_SUITES := base half file io_failures json json_write random pool metadata structs names option_text \
	option_rules stream safetensors safetensors_invalid safetensors_names targz \
	tar_fields png image dataset cifar10 context schedule schedule_file graph \
	trainer_options loss loss_weights timestep_sampling training_options ema solver \
	sampler sampler_callbacks sampler_errors consistency batch trainer trainer_run distill checkpoint \
	checkpoint_edges checkpoint_failures save_memory training_state misuse frozen \
	refused_calls shared shared_callbacks weight_cache plan recompute unet \
	input_gradient tiling guidance_callback unet_inputs unet_options unet_file bad_input \
	integrity file_names float_mode fork versions diffusers diffusers_folders diffusers_save \
	diffusers_schedulers recipe conditions condition_data condition_sampling \
	diffusers_compatible class_names class_names_data checkpoint_info prefetch \
	quarter_losses resume_changed resume_position
SANITIZE_SUITES := $(MEMORY_SUITES) editing gemm guidance kernels kernels_activation resample \
	depthwise conv_transposed $(PROGRAM_TEST_NAMES:test_%=%)
# Those whose arithmetic is small enough for valgrind, which ends in minutes.
VALGRIND_SUITES := base half file file_names io_failures json random pool metadata structs names \
	option_text option_rules stream safetensors safetensors_invalid safetensors_names targz \
	tar_fields png image dataset cifar10 context fork schedule schedule_file graph \
	trainer_options loss checkpoint_edges
THREAD_SUITES := pool context trainer trainer_run distill sampler sampler_callbacks unet shared \
	shared_callbacks weight_cache misuse float_mode conditions condition_sampling prefetch \
	resume_position decoder folder

# Every flipped bit and every length of a checkpoint.
.PHONY: check-damage
check-damage: deps
	@$(MAKE) test-run EXHAUSTIVE=1 \
	SUITE="$(addprefix integrity/,header even_bits odd_bits lengths)"

.PHONY: sanitize tsan valgrind
sanitize: export UBSAN_OPTIONS = print_stacktrace=1
sanitize: export ASAN_OPTIONS = allocator_may_return_null=1
sanitize: export CK_TIMEOUT_MULTIPLIER = 10
sanitize: deps
	@$(MAKE) test-run BUILD=$(BUILD)/sanitize SUITE="$(or $(SUITE),$(SANITIZE_SUITES))" \
	CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
tsan: export CK_TIMEOUT_MULTIPLIER = 20
tsan: deps
	@$(MAKE) test-run BUILD=$(BUILD)/tsan SUITE="$(or $(SUITE),$(THREAD_SUITES))" \
	CFLAGS="-O1 -g -fsanitize=thread"
valgrind: export DM_TEST_BUILD = $(BUILD)
valgrind: $(RUNNER)
	@sh tests/tools/valgrind.sh $< $(or $(subst $(comma), ,$(SUITE)),$(VALGRIND_SUITES))

# The examples in other languages, LANGUAGES of them.
LANGUAGES := cpp python rust go
.PHONY: check-bindings
check-bindings: deps
	@$(MAKE) library $(BUILD)/walkthrough
	@MAKE="$(MAKE)" sh tests/tools/bindings.sh $(BUILD) $(subst $(comma), ,$(LANGUAGES))

# Networks, schedulers and pipelines against diffusers, and a model's way through the program and back
# to it; and the published networks' speed and memory beside it. PYTHON: an interpreter with torch,
# diffusers and scipy.
.PHONY: check-diffusers bench-diffusers
check-diffusers: library program
	@sh tests/diffusers/check.sh $(SHARED) check.py $(DIFFUSERS_OPTIONS)
	@sh tests/diffusers/check.sh $(SHARED) path.py $(PROGRAM)
bench-diffusers: library
	@sh tests/diffusers/check.sh $(SHARED) published.py $(DIFFUSERS_OPTIONS)

# The same, each on a system that has just the packages that its README names.
.PHONY: check-clean-systems
check-clean-systems:
	@MAKE="$(MAKE)" sh tests/tools/clean_systems.sh $(BUILD) $(subst $(comma), ,$(LANGUAGES))

# What is made for packagers; parts whose tools are missing are left out.
.PHONY: check-packages
check-packages: deps
	@MAKE="$(MAKE)" sh tests/tools/reproducible.sh $(BUILD)
	@sh tests/install/meson.sh $(BUILD)/tmp "$(MAKE)"
	@$(MAKE) deb OUT=$(BUILD)/tmp
	@MAKE="$(MAKE)" sh tests/install/wheel.sh $(BUILD)/tmp

# All proofs but those of other processors and systems, languages and packages. The tools that
# check-static, fuzz and coverage need must be installed.
ALL_FUZZ_SECONDS ?= 20
.PHONY: check-all
check-all:
	@$(MAKE) check
	@$(MAKE) check-static STATIC_REQUIRED=1
	@$(MAKE) check-alloc
	@$(MAKE) check-kill
	@$(MAKE) check-no-blas
	@$(MAKE) sanitize
	@$(MAKE) tsan
	@$(MAKE) valgrind
	@$(MAKE) fuzz FUZZ_SECONDS=$(ALL_FUZZ_SECONDS)
	@$(MAKE) coverage
	@$(MAKE) check-damage

# Kernels of other x86-64 processors under qemu-user, and other BLAS libraries.
.PHONY: check-x86-levels check-blas check-no-blas
check-x86-levels: $(RUNNER)
	@sh tests/tools/x86_levels.sh $(BUILD)
# The page for browsers: needs emcc, node and chromedriver.
.PHONY: check-web
check-web:
	@MAKE="$(MAKE)" sh tests/web/check.sh "$(CC)" $(BUILD)
# MACHINE=windows, aarch64, armhf, i386, musl or s390x: see tests/machines/check.sh.
.PHONY: check-machine
check-machine:
	@MAKE="$(MAKE)" sh tests/machines/check.sh "$(MACHINE)" $(BUILD) $(subst $(comma), ,$(SUITE))
# Each installed variant of the BLAS library, whatever the alternatives of the system select.
check-blas: export DM_TEST_BUILD = $(BUILD)
check-blas: $(RUNNER)
	@sh tests/tools/blas.sh $< $(BLAS)
# Builds the library with BLAS=none in $(BUILD)/none.
check-no-blas:
	@MAKE="$(MAKE)" sh tests/tools/no_blas.sh "$(CC)" $(BUILD)

# ---- speed and accuracy ----

BENCH_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/*.c) \
	examples/diffusion/console/profile_table.c)
ERROR_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,tests/error/convolve.c tests/error/winograd_error.c)

$(BUILD)/obj/tests/bench/%.o: tests/bench/%.c $(FLAGS_FILE) | need-library need-program need-bench
	$(call compile,$(INTERNAL) -Iexamples/diffusion $(CFLAGS) \
	$(call cflags_of,$(LIB_PACKAGES) $(EXAMPLE_PACKAGES) $(BENCH_PACKAGES)))

$(BUILD)/bench: $(BENCH_OBJ) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=dmi_parallel,--wrap=dmi_profile_span $^ $(LIB_LIBS) \
	$(call libs_of,$(EXAMPLE_PACKAGES) $(BENCH_PACKAGES)) -lm -pthread -o $@

$(BUILD)/winograd_error: $(ERROR_OBJ) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIB_LIBS) -lm -pthread -o $@

$(BUILD)/bf16_error: $(BUILD)/obj/tests/error/bf16_error.o $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIB_LIBS) -lm -pthread -o $@

.PHONY: bench error-report
bench: deps
	@[ -z "$(MISSING_bench)" ] || sh pkgconfig/install-deps.sh $(BLAS) bench
	@$(MAKE) $(BUILD)/bench
	@sh tests/bench/run.sh $(BUILD) $(BENCH_OPTIONS)
error-report: deps
	@$(MAKE) $(BUILD)/winograd_error
	@$(BUILD)/winograd_error $(ERROR_NETWORK)

# ---- tools ----

.PHONY: format compile_commands.json
format:
	@sh tests/tools/check_format.sh --fix
compile_commands.json:
	@MAKE="$(MAKE)" sh tests/tools/compile_commands.sh all $(RUNNER) $(BUILD)/bench > $@
