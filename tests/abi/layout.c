/* SPDX-License-Identifier: MIT */
/* Prints the run-time tables of structs and enumerations:
 *     struct member type offset count element_size
 *     name enumeration text value */
#include <diffusion.h>
#include <stdio.h>

/* Fails if members leave a gap or do not fill the struct. */
static int print_members(const char *of) {
    size_t end = 0;
    for (int32_t i = 0;; i++) {
        dm_member_info info;
        if (dm_member_info_init(&info, sizeof info) != DM_OK) return 0;
        dm_status status = dm_struct_member(of, i, &info);
        if (status == DM_ERROR_NOT_FOUND) return i > 0 && end == dm_struct_size(of);
        if (status != DM_OK || info.offset != end) return 0;
        end += (size_t)info.count * info.element_size;
        const char *type = dm_enum_name("dm_member_type", info.type);
        printf("%s %s %s %u %u %u\n", of, info.name, type ? type : "?", (unsigned)info.offset,
               (unsigned)info.count, (unsigned)info.element_size);
    }
}

static int print_names(const char *of) {
    int32_t count = dm_enum_count(of), value;
    for (int32_t i = 0; i < count; i++) {
        if (dm_enum_item(of, i, &value) != DM_OK || !dm_enum_name(of, value)) return 0;
        printf("name %s %s %d\n", of, dm_enum_name(of, value), (int)value);
    }
    return count > 0;
}

int main(void) {
    for (int32_t i = 0; i < dm_struct_count(); i++)
        if (!print_members(dm_struct_name(i))) {
            fprintf(stderr, "layout: the table of %s is not contiguous\n", dm_struct_name(i));
            return 1;
        }
    for (int32_t i = 0; i < dm_enum_type_count(); i++)
        if (!print_names(dm_enum_type_name(i))) return 1;
    return 0;
}
