/* SPDX-License-Identifier: MIT */
/* Members of structs as text, exact and independent of the host's locale: integers in decimal,
 * doubles as %.17g, floats as %.9g, arrays separated by commas. */
#ifndef DM_SRC_CORE_TEXT_H
#define DM_SRC_CORE_TEXT_H

#include "base/number.h"
#include "core/structs.h"

/* An array has at most 32 entries. */
enum { DMI_TEXT_SIZE = 32 * DMI_NUMBER_SIZE };

/* A member of a struct as text. With `shortest`, doubles have as few digits as read back the same,
 * and enumerations appear by name. False: a value cannot be written, or the member is a pointer. */
bool dmi_member_format(const dmi_member *member, const void *values, bool shortest, char *out,
                       size_t size);
/* The reverse, also for names of enumerations. With `complete`, an array must have all entries;
 * else missing ones become 0. False: malformed, and *values may have changed. */
bool dmi_member_parse(const dmi_member *member, void *values, const char *text, bool complete);
/* Whether the member has a text at all: pointers, strings and outputs of other types have none. */
bool dmi_member_has_text(const dmi_member *member);
/* What the text of a member must be: "a 32-bit integer". */
const char *dmi_member_kind(const dmi_member *member);

/* Copies a text with its final 0, shortened to fit into `capacity` bytes; *size, unless NULL: what
 * the whole text needs. */
void dmi_copy_text(char *text, size_t capacity, size_t *size, const char *from);

#endif
