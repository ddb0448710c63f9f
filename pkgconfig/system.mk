# SPDX-License-Identifier: MIT
# The compiler, and what differs between systems: names of libraries and flags of the linker.

# HOST names the machine that the library is for, as a compiler for it does: x86_64-w64-mingw32,
# aarch64-linux-gnu. Packages are then those that HOST-pkg-config knows, if there is one, or those
# in the folders of PKG_CONFIG_LIBDIR.
HOST ?=
ifneq ($(HOST),)
CC := $(firstword $(foreach c,$(HOST)-gcc-posix $(HOST)-gcc,$(shell command -v $(c))) $(HOST)-gcc)
$(if $(shell command -v $(CC)),,$(error HOST is '$(HOST)'; there is no compiler $(CC)))
AR := $(HOST)-ar
PKG_CONFIG := $(or $(shell command -v $(HOST)-pkg-config),\
	$(if $(PKG_CONFIG_LIBDIR),pkg-config,false))
endif
CC ?= cc

TARGET := $(shell $(CC) -dumpmachine)
ARCH := $(firstword $(subst -, ,$(TARGET)))
SYSTEM := $(strip $(if $(findstring mingw,$(TARGET)),windows,\
	$(if $(findstring darwin,$(TARGET)),macos,$(if $(findstring wasm,$(TARGET)),wasm,elf))))

PIC := -fPIC
PTHREAD := -pthread
EXE :=
EXE_LIBS :=
# Where long has 32 bits, files are to have more than 2 GiB all the same.
SYSTEM_FLAGS := $(if $(filter 4,$(shell echo __SIZEOF_LONG__ | $(CC) -E -P -)), \
	-D_FILE_OFFSET_BITS=64)
ISA_SYSTEM :=
RPATH_ORIGIN := -Wl,-rpath,'$$ORIGIN'
# The x87 unit would keep more digits than a float has. gcc notes with each struct that has a 64-bit
# atomic how an old version placed it.
ifneq ($(filter i386 i486 i586 i686,$(ARCH)),)
SYSTEM_FLAGS += -msse2 -mfpmath=sse -Wno-psabi
endif

ifeq ($(SYSTEM),elf)
SHARED_NAME = libdiffusion.so.$(VERSION)
SHARED_LINK_NAMES := libdiffusion.so.$(SOVERSION) libdiffusion.so
LD_SHARED := -shared -Wl,-soname,libdiffusion.so.$(SOVERSION) \
	-Wl,--version-script=src/libdiffusion.map -Wl,--no-undefined -Wl,-z,relro -Wl,-z,now \
	-Wl,-z,noexecstack
endif

# The DLL exports what the header marks, and carries the runtime of the compiler.
ifeq ($(SYSTEM),windows)
PIC :=
EXE := .exe
EXE_LIBS := -static-libgcc -Wl,-Bstatic -lwinpthread -Wl,-Bdynamic
SYSTEM_FLAGS += -D__USE_MINGW_ANSI_STDIO=1 -DDM_BUILDS_DLL
RPATH_ORIGIN :=
SHARED_NAME = libdiffusion-$(SOVERSION).dll
SHARED_LINK_NAMES := libdiffusion.dll.a
# gcc takes the stack for aligned to 32 bytes there where it spills wide registers, which it is not.
ISA_SYSTEM := -Wa,-muse-unaligned-vector-move
LD_SHARED = -shared -static-libgcc -Wl,--out-implib,$(BUILD)/libdiffusion.dll.a \
	-Wl,-Bstatic -lwinpthread
endif

# Hidden visibility leaves the functions of the header.
ifeq ($(SYSTEM),macos)
RPATH_ORIGIN := -Wl,-rpath,@executable_path
SHARED_NAME = libdiffusion.$(VERSION).dylib
SHARED_LINK_NAMES = libdiffusion.$(SOVERSION).dylib libdiffusion.dylib
LD_SHARED = -dynamiclib -install_name @rpath/libdiffusion.$(SOVERSION).dylib \
	-current_version $(VERSION) -compatibility_version $(SOVERSION).0
endif

# Only the static library, without threads: contexts with one thread work.
ifeq ($(SYSTEM),wasm)
PIC :=
PTHREAD :=
SHARED_NAME := none
SHARED_LINK_NAMES :=
endif
