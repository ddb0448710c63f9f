/* The reading and writing of option structs across versions: each begins with its size, later
 * versions only append. */
#include "core/options.h"

#include <string.h>

#include "core/context.h"

/* No struct will come near this; a larger size is a struct_size that was never set. */
enum { DMI_OPTIONS_MAX = 4096 };

/* Structs are made of members of 4 and 8 bytes. */
static bool plausible(size_t size) {
    return size >= sizeof(uint32_t) && size <= DMI_OPTIONS_MAX && size % sizeof(uint32_t) == 0;
}

/* How to set the struct_size of `what`: by its init function where there is one. */
static int32_t fail_size(dmi_host *host, const char *what, size_t size) {
    static const char *const with_init[] = {"_options", "_request"};
    const size_t length = strlen(what);
    for (size_t i = 0; i < sizeof with_init / sizeof with_init[0]; i++) {
        const size_t n = strlen(with_init[i]);
        if (length > n && strcmp(what + length - n, with_init[i]) == 0)
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                            "%s: 'struct_size' is %zu; did you call %s_init?", what, size, what);
    }
    return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                    "%s: 'struct_size' is %zu; did you set it to sizeof(%s)?", what, size, what);
}

int32_t dmi_options_read(dmi_host *host, void *target, size_t size, const void *source,
                         const char *what) {
    dmi_host nobody = {0};
    if (host == NULL) host = &nobody;
    const uint32_t own_size = (uint32_t)size;
    if (source != NULL) {
        uint32_t given;
        memcpy(&given, source, sizeof given);
        if (!plausible(given)) return fail_size(host, what, given);
        const uint8_t *bytes = source;
        for (size_t i = size; i < given; i++)
            if (bytes[i] != 0)
                return dmi_fail(host, DMI_ERROR_UNSUPPORTED_VERSION,
                                "%s: a member at byte %zu is set, which this version (%s, %zu "
                                "bytes) does not know",
                                what, i, dm_version_string(), size);
        memcpy(target, source, given < size ? given : size);
    }
    memcpy(target, &own_size, sizeof own_size);
    return DMI_OK;
}

int32_t dmi_options_write(dmi_host *host, void *target, size_t target_size, const void *source,
                          size_t size, const char *what) {
    dmi_host nobody = {0};
    if (host == NULL) host = &nobody;
    if (target == NULL)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "%s: the struct to fill is NULL", what);
    if (!plausible(target_size)) return fail_size(host, what, target_size);
    const uint32_t given = (uint32_t)target_size;
    const size_t common = target_size < size ? target_size : size;
    memcpy(target, source, common);
    memset((uint8_t *)target + common, 0, target_size - common);
    memcpy(target, &given, sizeof given);
    return DMI_OK;
}

int32_t dmi_check_range(dmi_host *host, const char *owner, const char *name, int32_t value,
                        int32_t least, int32_t most) {
    if (value >= least && value <= most) return DMI_OK;
    if (least == most)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "%s: '%s' is %d; it must be %d", owner,
                        name, (int)value, (int)most);
    return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "%s: '%s' is %d; it must be from %d to %d",
                    owner, name, (int)value, (int)least, (int)most);
}
