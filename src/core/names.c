/* SPDX-License-Identifier: MIT */
/* Structs, members and enumerations by name, for callers that read the interface at run time. */
#include <stdio.h>
#include <string.h>

#include "core/context.h"
#include "core/enums.h"
#include "core/text.h"

/* ---- structs ---- */

int32_t dm_struct_count(void) { return dmi_struct_total(); }

const char *dm_struct_name(int32_t index) {
    const dmi_struct *found = dmi_struct_at(index);
    return found ? found->name : NULL;
}

size_t dm_struct_size(const char *name) {
    const dmi_struct *found = dmi_struct_find(name);
    return found ? found->size : 0;
}

dm_status dm_member_info_init(dm_member_info *info, size_t size) {
    return dmi_struct_init(&dmi_struct_member_info, info, size);
}

dm_status dm_struct_member(const char *name, int32_t index, dm_member_info *info) {
    const dmi_struct *of = dmi_struct_find(name);
    if (!info) return DM_ERROR_INVALID_ARGUMENT;
    if (!of || index < 0 || index >= of->count) return DM_ERROR_NOT_FOUND;
    const dmi_member *m = &of->members[index];
    dm_member_info full = {
        .struct_size = sizeof full,
        .type = m->type,
        .offset = m->offset,
        .count = m->count,
        .element_size = m->element_size,
        .saved = m->saved != DMI_TRANSIENT,
        .minimum = m->minimum,
        .maximum = m->maximum,
        .name = m->name,
        .enumeration = m->enumeration,
        .default_text = m->default_text,
        .help = m->help,
    };
    dmi_host no_context = {0};
    return dmi_struct_write_back(&no_context, &dmi_struct_member_info, info, &full);
}

/* ---- enumerations ---- */

int32_t dm_enum_type_count(void) { return dmi_enum_total(); }

const char *dm_enum_type_name(int32_t index) {
    const dmi_enum *found = dmi_enum_at(index);
    return found ? found->name : NULL;
}

int32_t dm_enum_count(const char *name) {
    const dmi_enum *found = dmi_enum_find(name);
    return found ? found->count : 0;
}

dm_status dm_enum_item(const char *name, int32_t index, int32_t *value) {
    const dmi_enum *found = dmi_enum_find(name);
    if (!value) return DM_ERROR_INVALID_ARGUMENT;
    if (!found || index < 0 || index >= found->count) return DM_ERROR_NOT_FOUND;
    *value = found->values[index].value;
    return DM_OK;
}

const char *dm_enum_name(const char *name, int32_t value) {
    const dmi_enum_value *found = dmi_enum_find_value(dmi_enum_find(name), value);
    return found ? found->name : NULL;
}

const char *dm_enum_help(const char *name, int32_t value) {
    const dmi_enum_value *found = dmi_enum_find_value(dmi_enum_find(name), value);
    return found ? found->help : NULL;
}

dm_status dm_enum_value(const char *name, const char *text, int32_t *value) {
    const dmi_enum_value *found = dmi_enum_find_name(dmi_enum_find(name), text);
    if (!value) return DM_ERROR_INVALID_ARGUMENT;
    if (!found) return DM_ERROR_NOT_FOUND;
    *value = found->value;
    return DM_OK;
}

/* ---- options by name ---- */

/* The member of an initialised struct supplied by the caller, which may be of an older version. */
static dm_status find_member(dmi_host *host, const char *name, const void *options,
                             const char *member, const dmi_struct **of, const dmi_member **out) {
    *of = NULL;
    *out = NULL;
    if (!name || !options || !member)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "options: '%s' is NULL",
                        !name      ? "name"
                        : !options ? "options"
                                   : "member");
    *of = dmi_struct_find(name);
    if (!*of) return dmi_fail(host, DM_ERROR_NOT_FOUND, "options: there is no struct '%s'", name);
    *out = dmi_struct_find_member(*of, member);
    uint32_t size;
    memcpy(&size, options, sizeof size);
    if (!*out || *out == (*of)->members || strncmp(member, "padding", strlen("padding")) == 0)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "options: %s has no member '%s' to set or get",
                        name, member);
    dm_status status = dmi_struct_check_size(host, *of, size);
    if (status) return status;
    if (size < (*out)->offset + (size_t)(*out)->count * (*out)->element_size)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "options: 'struct_size' is %u; '%s' lies beyond it", (unsigned)size,
                        member);
    return DM_OK;
}

static dm_status fail_value(dmi_host *host, const dmi_struct *of, const dmi_member *m,
                            const char *value) {
    char names[320] = "";
    size_t length = 0;
    const dmi_enum *known = dmi_enum_find(m->enumeration);
    bool limited = m->minimum != 0 || m->maximum != 0;
    for (int32_t i = 0; known && i < known->count && length < sizeof names; i++) {
        const dmi_enum_value *v = &known->values[i];
        if (limited && (v->value < m->minimum || v->value > m->maximum)) continue;
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s",
                                   length ? ", " : "", v->name);
    }
    if (known)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: '%s' is \"%.60s\"; it must be one of %s", of->owner, m->name, value,
                        names);
    if (m->count > 1)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: '%s' is \"%.60s\"; it must be a list of at most %u, each %s",
                        of->owner, m->name, value, (unsigned)m->count, dmi_member_kind(m));
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s' is \"%.60s\"; it must be %s",
                    of->owner, m->name, value, dmi_member_kind(m));
}

static dm_status check_text(dmi_host *host, const dmi_struct *of, const dmi_member *m) {
    if (dmi_member_has_text(m)) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s' is a member without text", of->owner,
                    m->name);
}

static dm_status set_option(dmi_host *host, const char *name, void *options, const char *member,
                            const char *value) {
    const dmi_struct *of;
    const dmi_member *m;
    dm_status status = find_member(host, name, options, member, &of, &m);
    if (status) return status;
    if (!value) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "options: 'value' is NULL");
    status = check_text(host, of, m);
    if (status) return status;
    /* Into a copy, so that a refused value leaves the struct as it was. */
    union {
        uint8_t bytes[DMI_STRUCT_SIZE_MAX];
        double align;
    } copy;
    dmi_struct_defaults(of, &copy);
    if (!dmi_member_parse(m, &copy, value, false)) return fail_value(host, of, m, value);
    status = dmi_struct_check_member(host, of, m, &copy);
    if (!status)
        memcpy((uint8_t *)options + m->offset, copy.bytes + m->offset,
               (size_t)m->count * m->element_size);
    return status;
}

dm_status dm_options_set(dm_context *context, const char *name, void *options, const char *member,
                         const char *value) {
    dmi_host no_context = {0};
    if (!context) return set_option(&no_context, name, options, member, value);
    int32_t entered = dmi_enter_nested(context);
    if (!entered) return DM_ERROR_WRONG_STATE;
    return dmi_leave_nested(context, entered,
                            set_option(&context->host, name, options, member, value));
}

static dm_status get_option(dmi_host *host, const char *name, const void *options,
                            const char *member, char *text, size_t capacity, size_t *size) {
    const dmi_struct *of;
    const dmi_member *m;
    char whole[DMI_TEXT_SIZE];
    dm_status status = find_member(host, name, options, member, &of, &m);
    if (status) return status;
    status = check_text(host, of, m);
    if (status) return status;
    if (!dmi_member_format(m, options, true, whole, sizeof whole))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s' has no text: it is not finite",
                        of->owner, member);
    dmi_copy_text(text, capacity, size, whole);
    return DM_OK;
}

dm_status dm_options_get(dm_context *context, const char *name, const void *options,
                         const char *member, char *text, size_t capacity, size_t *size) {
    dmi_host no_context = {0};
    if (text && capacity) *text = 0;
    if (size) *size = 0;
    if (!context) return get_option(&no_context, name, options, member, text, capacity, size);
    int32_t entered = dmi_enter_nested(context);
    if (!entered) return DM_ERROR_WRONG_STATE;
    return dmi_leave_nested(context, entered,
                            get_option(&context->host, name, options, member, text, capacity,
                                       size));
}
