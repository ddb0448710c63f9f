# SPDX-License-Identifier: MIT
# Installation: the library with its header, pkg-config and CMake files, and the programs.

PREFIX ?= /usr/local
LIBDIR ?= lib
INCLUDEDIR ?= include
BINDIR ?= bin
MANDIR ?= share/man
DATADIR ?= share
DESTDIR ?=
LDCONFIG ?= ldconfig

$(if $(filter /%,$(firstword $(PREFIX))),,$(error PREFIX is '$(PREFIX)'; it must begin with /))
# A folder that does not begin with / is below PREFIX.
below_prefix = $(if $(filter /%,$(firstword $(1))),$(1),$(PREFIX)/$(1))
libdir = $(call below_prefix,$(LIBDIR))
includedir = $(call below_prefix,$(INCLUDEDIR))
bindir = $(call below_prefix,$(BINDIR))
mandir = $(call below_prefix,$(MANDIR))
datadir = $(call below_prefix,$(DATADIR))

INSTALLED_PROGRAM := $(BUILD)/installed/diffusion$(EXE)
INSTALLED_OBJ := $(BUILD)/installed/installed.o
to_bin = "$(DESTDIR)$(bindir)$(1)"
to_data = "$(DESTDIR)$(datadir)$(1)"
# Windows looks for libraries beside the program.
shareddir = $(if $(filter windows,$(SYSTEM)),$(bindir),$(libdir))
to_shared = "$(DESTDIR)$(shareddir)$(1)"
to_lib = "$(DESTDIR)$(libdir)$(1)"
to_include = "$(DESTDIR)$(includedir)$(1)"

# The HTML reference and the manual pages of the functions, where Doxygen is.
REFERENCE := $(BUILD)/reference
HAVE_DOXYGEN := $(shell command -v doxygen)
.PHONY: reference
reference: $(REFERENCE)/html/index.html
$(REFERENCE)/html/index.html: include/diffusion.h $(wildcard docs/reference/*)
	$(SAY) DOXYGEN $(REFERENCE)
	$(Q)sh docs/reference/make.sh "$(VERSION)" $(REFERENCE)

PRIVATE_LIBS := $(strip $(PLAIN_LIBS) -lm -pthread)
write_pc = sh pkgconfig/write-pc.sh "$(PREFIX)" "$(libdir)" "$(includedir)" "$(VERSION)" \
	"$(strip $(LIB_PACKAGES))" "$(PRIVATE_LIBS)"

$(BUILD)/diffusion-uninstalled.pc: pkgconfig/diffusion.pc.in pkgconfig/write-pc.sh $(FLAGS_FILE)
	$(Q)sh pkgconfig/write-pc.sh "$(CURDIR)" "$(abspath $(BUILD))" "$(CURDIR)/include" \
	"$(VERSION)" "$(strip $(LIB_PACKAGES))" "$(PRIVATE_LIBS)" > $@

# The program again, since it finds the library and its model by the way from BINDIR to LIBDIR and
# DATADIR, which are known only now.
$(INSTALLED_OBJ): examples/diffusion/model/installed.c $(FLAGS_FILE) force
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)to_model=$$(sh pkgconfig/relative-path.sh "$(bindir)" "$(datadir)/diffusion") && \
	$(CC) $(COMMON) $(REPRODUCIBLE) -Iinclude -Iexamples/diffusion $(EXAMPLE_FLAGS) $(CFLAGS) \
	$(CPPFLAGS) -DDIFFUSION_DATA_FROM_BIN="\"$$to_model\"" -c $< -o $@
$(INSTALLED_PROGRAM): $(PROGRAM_OBJ) $(INSTALLED_OBJ) $(SHARED_LINKS) force
	$(SAY) LD $@
	$(Q)runpath=$$([ $(SYSTEM) = windows ] || \
	sh pkgconfig/runpath.sh "$(bindir)" "$(libdir)" "$(LDCONFIG)") && \
	$(CC) $(CFLAGS) $(LDFLAGS) $(filter-out %/model/installed.o,$(PROGRAM_OBJ)) $(INSTALLED_OBJ) \
	-L$(BUILD) -ldiffusion $${runpath:+-Xlinker -rpath -Xlinker "$$runpath"} $(EXE_LIBS) \
	$(PROGRAM_LIBS) -o $@

# What the program tells about itself: manual pages and completion for shells. Another machine's
# program cannot be run here, and Windows has no use for them.
TELLS := $(if $(HOST)$(filter windows,$(SYSTEM)),,told)
COMMANDS := $(patsubst &%_command,%,\
	$(shell grep -o '&[a-z]*_command' examples/diffusion/command/commands.c))
TOLD := $(BUILD)/told
.PHONY: told
told: $(PROGRAM)
	@mkdir -p $(TOLD)
	$(Q)$(PROGRAM) manual > $(TOLD)/diffusion.1
	$(Q)for c in $(COMMANDS); do $(PROGRAM) manual $$c > $(TOLD)/diffusion-$$c.1 || exit 1; done
	$(Q)for s in bash zsh fish; do $(PROGRAM) completion $$s > $(TOLD)/$$s || exit 1; done

POINTER_BYTES = $(shell echo __SIZEOF_POINTER__ | $(CC) -E -P -)

.PHONY: install install-lib install-program uninstall
install: install-lib install-program

install-lib: library $(if $(HAVE_DOXYGEN),reference)
	install -d $(call to_include) $(call to_lib,/pkgconfig) $(call to_lib,/cmake/diffusion)
	install -d $(call to_include,/diffusion)
	install -m 644 include/diffusion.h include/diffusion.hpp $(call to_include)
	install -m 644 $(wildcard include/diffusion/*.hpp) $(call to_include,/diffusion)
	sh pkgconfig/make-cdef.sh include/diffusion.h > $(BUILD)/diffusion_cdef.h
	install -m 644 $(BUILD)/diffusion_cdef.h $(call to_include)
	install -m 644 $(STATIC) $(call to_lib)
	install -d $(call to_shared)
	install -m 755 $(SHARED) $(call to_shared)
ifeq ($(SYSTEM),windows)
	install -m 644 $(SHARED_LINKS) $(call to_lib)
else
	$(foreach l,$(SHARED_LINK_NAMES),ln -sf $(SHARED_NAME) $(call to_lib,/$(l)) &&) true
endif
	$(write_pc) > $(call to_lib,/pkgconfig/diffusion.pc)
	sh pkgconfig/write-cmake.sh "$(libdir)" "$(includedir)" "$(VERSION)" \
	"$(shareddir)/$(SHARED_NAME)" $(firstword $(SHARED_LINK_NAMES)) "$(BLAS)" $(POINTER_BYTES) \
	$(call to_lib,/cmake/diffusion)
ifneq ($(HAVE_DOXYGEN),)
	install -d "$(DESTDIR)$(mandir)/man3"
	install -m 644 $(REFERENCE)/man3/*.3 "$(DESTDIR)$(mandir)/man3"
else
	@echo "install-lib: left out the manual pages, since there is no doxygen"
endif
	@[ -n "$(DESTDIR)" ] || [ $(SYSTEM) != elf ] || \
	sh pkgconfig/update-loader.sh "$(LDCONFIG)" "$(libdir)"

MODEL := examples/diffusion/model/cifar10.safetensors
COMPLETIONS := /bash-completion/completions /zsh/site-functions /fish/vendor_completions.d
install-program: $(INSTALLED_PROGRAM) $(TELLS)
	install -d $(to_bin) $(call to_data,/diffusion)
	install -m 755 $(INSTALLED_PROGRAM) $(call to_bin,/diffusion$(EXE))
	[ ! -f $(MODEL) ] || install -m 644 $(MODEL) $(call to_data,/diffusion)
ifneq ($(TELLS),)
	install -d "$(DESTDIR)$(mandir)/man1" $(foreach c,$(COMPLETIONS),$(call to_data,$(c)))
	install -m 644 $(TOLD)/*.1 "$(DESTDIR)$(mandir)/man1"
	install -m 644 $(TOLD)/bash $(call to_data,/bash-completion/completions/diffusion)
	install -m 644 $(TOLD)/zsh $(call to_data,/zsh/site-functions/_diffusion)
	install -m 644 $(TOLD)/fish $(call to_data,/fish/vendor_completions.d/diffusion.fish)
endif
	@[ -n "$(DESTDIR)" ] || echo "installed; begin with: $(bindir)/diffusion sample --class ship"

# Folders that other packages use too are removed only where they are empty.
uninstall:
	rm -f $(call to_include,/diffusion.h) $(call to_include,/diffusion_cdef.h) \
	$(call to_include,/diffusion.hpp) $(call to_include,/diffusion)/*.hpp \
	$(call to_lib,/libdiffusion.a) \
	$(call to_shared,/$(SHARED_NAME)) $(foreach n,$(SHARED_LINK_NAMES),$(call to_lib,/$(n))) \
	$(call to_lib,/pkgconfig/diffusion.pc) $(call to_bin,/diffusion$(EXE))
	rm -rf $(call to_lib,/cmake/diffusion)
	rm -f "$(DESTDIR)$(mandir)/man3"/dm_*.3 "$(DESTDIR)$(mandir)/man1/diffusion.1" \
	$(foreach c,$(COMMANDS),"$(DESTDIR)$(mandir)/man1/diffusion-$(c).1") \
	$(call to_data,/diffusion/$(notdir $(MODEL))) \
	$(call to_data,/bash-completion/completions/diffusion) \
	$(call to_data,/zsh/site-functions/_diffusion) \
	$(call to_data,/fish/vendor_completions.d/diffusion.fish)
	@sh pkgconfig/remove-empty.sh "$(DESTDIR)$(PREFIX)" $(call to_lib,/pkgconfig) \
	$(call to_lib,/cmake) $(call to_lib) $(call to_include,/diffusion) \
	$(call to_include) "$(DESTDIR)$(bindir)" "$(DESTDIR)$(mandir)/man3" \
	"$(DESTDIR)$(mandir)/man1" $(foreach c,/diffusion $(COMPLETIONS),$(call to_data,$(c)))

# ---- releases ----

.PHONY: version dist
version:
	@echo $(VERSION)
# An archive of the last commit with its checksum and Meson's files, in $(OUT)/dist.
dist:
	@sh pkgconfig/dist.sh "$(VERSION)" $(OUT)/dist
# Debian packages of the last commit, in $(OUT)/deb.
.PHONY: deb
deb:
	@sh pkgconfig/deb.sh "$(VERSION)" $(OUT)/deb

# A Python wheel that carries a library with BLAS=none, in $(OUT)/wheel.
.PHONY: wheel
wheel:
	@$(MAKE) BUILD=$(BUILD)/none BLAS=none library
	@sh examples/python/make_wheel.sh $(BUILD)/none/libdiffusion.so.$(VERSION) $(OUT)/wheel
