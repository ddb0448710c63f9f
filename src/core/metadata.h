/* Option structs as metadata of a safetensors file: a table says where each member is and what it
 * is called, so that writing, reading and checking are one loop. Values are exact: integers in
 * decimal, doubles as %.17g, floats as %.9g. */
#ifndef DM_SRC_METADATA_H
#define DM_SRC_METADATA_H

#include "io/safetensors.h"

enum { DMI_META_I32, DMI_META_U64, DMI_META_F32, DMI_META_F64 };

typedef struct dmi_meta {
    const char *key; /* "unet.norm_groups" */
    int32_t type;
    int32_t count; /* array length; written as "64,128,128" */
    size_t offset; /* in the struct */
} dmi_meta;

int32_t dmi_meta_write(dmi_host *host, dmi_safetensors_writer *writer, const dmi_meta *table,
                       size_t count, const void *from);
/* A key that is missing is DMI_ERROR_BAD_FORMAT, as one that cannot be read is: a default in its
 * place would be another network, or another run. */
int32_t dmi_meta_read(dmi_host *host, const dmi_safetensors *file, const dmi_meta *table,
                      size_t count, void *to);

/* 'format' says which kind of file it is, 'format_version' how to read it. */
extern const char dmi_format_unet[], dmi_format_checkpoint[];
int32_t dmi_format_write(dmi_host *host, dmi_safetensors_writer *writer, const char *format);
/* Refuses what is no file of this library, or of a later version; and where `training` is set, what
 * is no checkpoint. */
int32_t dmi_format_check(dmi_host *host, const dmi_safetensors *file, bool training);

/* One number whatever the host's locale says of decimal points: `digits` significant ones (17 are
 * exact for a double, 9 for a float). The characters written, without the final 0; 0 where they do
 * not fit or the value is not finite. */
size_t dmi_meta_format_double(char *out, size_t size, double value, int digits);
/* A decimal number at the start of text, without blanks before it; *end is what follows. False:
 * there is none, or it is too large for a double, and neither is set. inf, nan and hexadecimal are
 * not numbers here. */
bool dmi_meta_parse_double(const char *text, const char **end, double *value);

#endif
