# SPDX-License-Identifier: MIT
# Fuzzing with libFuzzer, and the replay of its corpora with any compiler; see tests/fuzz/README.md.

FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_TARGET ?= $(FUZZ_TARGETS)
FUZZ_SECONDS ?= 60
FUZZ_RUNS ?=
FUZZ_CC ?= clang
# Without a call for each comparison, which takes half of the time; values to compare with are in the
# dictionaries and in the tables of members.
FUZZ_CFLAGS ?= -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow \
	-fno-sanitize-coverage=trace-cmp
FUZZ_BIN := $(FUZZ_TARGETS:%=$(BUILD)/fuzz_%)
FUZZ_REPLAY := $(FUZZ_TARGETS:%=$(BUILD)/replay_%)
FUZZ_COMMON := $(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,fuzz mutate struct outputs)
FUZZ_LIBS = $(LIB_LIBS) $(call libs_of,$(EXAMPLE_PACKAGES)) -lm -pthread

$(BUILD)/obj/tests/fuzz/%.o: tests/fuzz/%.c $(FLAGS_FILE) | need-library need-program
	$(call compile,$(INTERNAL) -Itests -Iexamples/diffusion $(CFLAGS) \
	$(call cflags_of,$(LIB_PACKAGES) $(EXAMPLE_PACKAGES)))

# Kernels in `make fuzz`: only those for every processor, and with AddressSanitizer alone; the rest
# would take minutes to compile and most of the time.
FUZZ_ISA := ISAS=base ISA_base="-ffp-contract=off -Wno-pass-failed \
	-fno-sanitize=fuzzer-no-link,undefined,float-cast-overflow"

$(FUZZ_BIN): $(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_COMMON) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) $^ $(FUZZ_LIBS) -o $@

$(FUZZ_REPLAY): $(BUILD)/replay_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_COMMON) \
		$(BUILD)/obj/tests/fuzz/replay.o $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(FUZZ_LIBS) -o $@

# The program's reading of pictures.
FUZZ_PICTURE := $(patsubst %,$(BUILD)/obj/examples/diffusion/picture/%.o,exif jpeg png png_text \
	read resize)
$(BUILD)/fuzz_picture $(BUILD)/replay_picture: $(FUZZ_PICTURE)

$(BUILD)/make_seeds: $(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,make_seeds fuzz) $(STATIC)
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(FUZZ_LIBS) -o $@

.PHONY: fuzz fuzz-programs fuzz-replay fuzz-seeds fuzz-merge
fuzz-programs: $(FUZZ_BIN)
fuzz: deps
	@sh tests/fuzz/need.sh "$(FUZZ_CC)"
	@$(MAKE) BUILD=$(BUILD)/fuzz BLAS=none $(FUZZ_ISA) CC="$(FUZZ_CC)" CFLAGS="$(FUZZ_CFLAGS)" \
	"FUZZ_TARGETS=$(subst $(comma), ,$(FUZZ_TARGET))" fuzz-programs
	@sh tests/fuzz/run.sh $(BUILD)/fuzz "$(FUZZ_SECONDS)" "$(FUZZ_RUNS)" \
	$(subst $(comma), ,$(FUZZ_TARGET))
fuzz-replay: $(FUZZ_REPLAY)
	@sh tests/fuzz/replay.sh $(BUILD) $(FUZZ_TARGETS)
fuzz-seeds: $(BUILD)/make_seeds
	@mkdir -p $(FUZZ_TARGETS:%=tests/fuzz/corpus/%)
	@$< tests/fuzz/corpus
# From what `make fuzz` found; needs its programs.
fuzz-merge:
	@sh tests/fuzz/merge.sh $(BUILD)/fuzz $(subst $(comma), ,$(FUZZ_TARGET))
