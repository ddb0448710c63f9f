/* SPDX-License-Identifier: MIT */
/* The members of dm_context_options, dm_profile_row and dm_member_info. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_context_options
static const dmi_member context_members[] = {
    SIZE_MEMBER,
    NUMBER(threads, "0", 0, 256, TRANSIENT, "Threads that compute; 0: one for each processor."),
    ANY(memory_limit, "0", TRANSIENT, "Bytes that may be allocated; 0: no limit."),
    FLAG(profile, "0", TRANSIENT, "1: measure where the time goes."),
    FLAG(large_pages, "0", TRANSIENT, "1: ask the system for large pages for large blocks."),
    FIELD(allocate, "Replaces malloc."),
    FIELD(release, "Replaces free."),
    FIELD(allocator_user, "First argument of allocate and release."),
    FIELD(log, "Receives notes that are not errors."),
    FIELD(log_user, "First argument of log."),
    FIELD(parallel_for, "Runs tasks on the caller's threads."),
    FIELD(parallel_user, "First argument of parallel_for."),
    PADDING(padding),
    FLAG(latency, "0", TRANSIENT, "1: choose algorithms for one or a few images at a time."),
    PADDING(padding_last),
};
#define members context_members
DMI_STRUCT(dmi_struct_context_options, "dm_context_options", "context");
#undef members
#undef STRUCT

#define STRUCT dm_profile_row
static const dmi_member row_members[] = {
    SIZE_MEMBER,
    PADDING(padding),
    FIELD(operation, "Name of the operation."),
    FIELD(part, "Algorithm and part of the operation."),
    FIELD(shape, "Images, height, width, channels in and out."),
    FIELD(calls, "Number of calls."),
    FIELD(seconds, "Seconds of all calls."),
    FIELD(flop, "Operations of the direct algorithm; 0: not counted."),
    FIELD(bytes, "Memory traffic if each array moved once."),
};
#define members row_members
DMI_STRUCT(dmi_struct_profile_row, "dm_profile_row", "profile");
#undef members
#undef STRUCT

#define STRUCT dm_member_info
static const dmi_member info_members[] = {
    SIZE_MEMBER,
    ENUM(type, dm_member_type, NULL, TRANSIENT, "Type of one element."),
    FIELD(offset, "Bytes from the start of the struct."),
    FIELD(count, "Elements of an array member, else 1."),
    FIELD(element_size, "Bytes of one element."),
    FIELD(saved, "1: files keep this option."),
    FIELD(minimum, "Smallest value."),
    FIELD(maximum, "Largest value; both 0: no range."),
    FIELD(name, "Name of the member."),
    FIELD(enumeration, "Its enumeration, or NULL."),
    FIELD(default_text, "Its default as text, or NULL."),
    FIELD(help, "One line about it."),
};
#define members info_members
DMI_STRUCT(dmi_struct_member_info, "dm_member_info", "member");
/* clang-format on */
