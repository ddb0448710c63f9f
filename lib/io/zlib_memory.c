/* SPDX-License-Identifier: MIT */
/* See zlib_memory.h. */
#include "io/zlib_memory.h"

#include <string.h>

static voidpf allocate(voidpf opaque, uInt count, uInt size) {
    dmi_zlib_memory *memory = opaque;
    void *block;
    int32_t status = dmi_alloc_array(memory->host, &block, count, size, "zlib");
    if (status) memory->status = status;
    return block;
}

static void release(voidpf opaque, voidpf block) {
    const dmi_zlib_memory *memory = opaque;
    dmi_free(memory->host, block);
}

void dmi_zlib_prepare(z_stream *stream, dmi_zlib_memory *memory, dmi_host *host) {
    memset(stream, 0, sizeof *stream);
    memory->host = host;
    memory->status = DMI_OK;
    stream->zalloc = allocate;
    stream->zfree = release;
    stream->opaque = memory;
}
