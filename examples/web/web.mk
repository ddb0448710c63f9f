# SPDX-License-Identifier: MIT
# The page that trains in a browser: one file without a server part, for Emscripten.

WEB := $(BUILD)/web
EMCC ?= emcc
# Node.js of Debian finds modules there, one from elsewhere does not.
EMCC_ENV := NODE_PATH=/usr/share/nodejs:$(NODE_PATH)
WEB_CFLAGS := -O3 -msimd128
WEB_FUNCTIONS = $(shell sed -n 's/^[a-z].*[ *]\(web_[a-z_]*\)[^a-z_].*/_\1/p' \
	examples/web/diffusion_web.h)
empty :=
space := $(empty) $(empty)

.PHONY: web
web: $(OUT)/web/index.html

# Emscripten has no zlib without its own download.
$(WEB)/needed/lib/libz.a: pkgconfig/build-needed.sh pkgconfig/debian-source.sh
	$(SAY) ZLIB $@
	$(Q)$(EMCC_ENV) sh pkgconfig/build-needed.sh "$(EMCC) $(WEB_CFLAGS)" emar $(WEB)/needed zlib

$(WEB)/diffusion.js: $(WEB)/needed/lib/libz.a force
	@$(EMCC_ENV) $(MAKE) BUILD=$(WEB) CC=$(EMCC) AR=emar BLAS=none PKG_CONFIG=false PLAIN_zlib=-lz \
	CFLAGS="$(WEB_CFLAGS)" CPPFLAGS=-I$(WEB)/needed/include $(WEB)/libdiffusion.a
	$(SAY) EMCC $@
	$(Q)$(EMCC_ENV) $(EMCC) -std=c11 $(WEB_CFLAGS) -Iinclude examples/web/diffusion_web.c \
	$(WEB)/libdiffusion.a $(WEB)/needed/lib/libz.a -o $@ -sMODULARIZE -sEXPORT_NAME=createDiffusion \
	-sSINGLE_FILE -sENVIRONMENT=worker,node -sALLOW_MEMORY_GROWTH \
	-sEXPORTED_FUNCTIONS=_malloc,_free,$(subst $(space),$(comma),$(strip $(WEB_FUNCTIONS))) \
	-sEXPORTED_RUNTIME_METHODS=UTF8ToString,stringToUTF8,lengthBytesUTF8

$(OUT)/web/index.html: $(WEB)/diffusion.js $(wildcard examples/web/*)
	@mkdir -p $(@D)
	@sh examples/web/inline.sh examples/web $(WEB) > $@.new && mv $@.new $@
	@echo "web: $@"
