/* SPDX-License-Identifier: MIT */
/* Fuzz target: the input is a safetensors file. Where it is accepted, all of it can be read. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/safetensors.h"

enum { LIMIT = 64 << 20, LENGTH_BYTES = 8, HEADER_MAX = 8000000 };

static const char *const keys[] = {"format", "format_version", "unet.height", "", "a"};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    return fuzz_mutate_safetensors(data, size, capacity, seed);
}

/* `size`: of the values, in bytes. */
static void read_all(dmi_host *host, const dmi_safetensors *file, size_t size) {
    size_t reached = 0;
    for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
        const dmi_safetensors_entry *entry = dmi_safetensors_at(file, i);
        FUZZ_CHECK(dmi_safetensors_find(file, entry->name) == entry);
        FUZZ_CHECK(entry->offset == reached && entry->size <= size - reached);
        FUZZ_CHECK(entry->rank >= 0 && entry->rank <= DMI_SAFETENSORS_RANK_MAX);
        reached += entry->size;
        uint8_t *bytes = malloc(entry->size + 1);
        FUZZ_CHECK(bytes != NULL);
        const int32_t status = dmi_safetensors_read(host, file, entry, bytes);
        FUZZ_CHECK(!status || (status == DMI_ERROR_CHECKSUM && entry->has_checksum));
        free(bytes);
    }
    FUZZ_CHECK(reached == size);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = dmi_safetensors_metadata(file, keys[i]);
        if (value) FUZZ_CHECK(strlen(value) < HEADER_MAX);
        dmi_safetensors_find(file, keys[i]);
    }
    FUZZ_CHECK(strcmp(dmi_safetensors_from(file), "input") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dmi_host host;
    dmi_safetensors *file;
    host.limit = LIMIT;
    host.error[0] = 0;
    const int32_t status = dmi_safetensors_parse(&host, &file, data, size, "input");
    FUZZ_CHECK((status == DMI_OK) == (file != NULL));
    FUZZ_CHECK(status != DMI_ERROR_INTERNAL && (!status || host.error[0] != 0));
    if (file) {
        size_t header = 0;
        for (size_t i = LENGTH_BYTES; i-- > 0;) header = header << 8 | data[i];
        FUZZ_CHECK(header <= size - LENGTH_BYTES);
        read_all(&host, file, size - LENGTH_BYTES - header);
    }
    dmi_safetensors_close(&host, file);
    FUZZ_CHECK(host.used == 0);
    return 0;
}
