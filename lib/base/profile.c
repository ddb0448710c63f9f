/* SPDX-License-Identifier: MIT */
/* See profile.h. */
#include "base/profile.h"

#include "base/system.h"

enum { ROWS_MAX = 1024 };

struct dmi_profile {
    double span_start;
    int32_t count;
    dmi_profile_row rows[ROWS_MAX];
};

int32_t dmi_profile_create(dmi_host *host, dmi_profile **out) {
    return dmi_alloc_zero(host, out, 1, sizeof(dmi_profile), "profile");
}

void dmi_profile_destroy(dmi_host *host, dmi_profile *profile) { dmi_free(host, profile); }

static bool is_same(const dmi_work *a, const dmi_work *b) {
    return a->name == b->name && a->algorithm == b->algorithm && a->part == b->part &&
           a->n == b->n && a->h == b->h && a->w == b->w && a->in == b->in && a->out == b->out;
}

static dmi_profile_row *row_of(dmi_profile *profile, const dmi_work *work) {
    for (int32_t i = 0; i < profile->count; i++)
        if (is_same(&profile->rows[i].work, work)) return &profile->rows[i];
    if (profile->count == ROWS_MAX) {
        static const dmi_work others = {.name = "others"};
        dmi_profile_row *last = &profile->rows[ROWS_MAX - 1];
        double flop = last->work.flop, bytes = last->work.bytes;
        last->work = others;
        last->work.flop = flop;
        last->work.bytes = bytes;
        return last;
    }
    dmi_profile_row *row = &profile->rows[profile->count++];
    *row = (dmi_profile_row){.work = *work};
    row->work.flop = row->work.bytes = 0;
    return row;
}

void dmi_profile_start(dmi_profile *profile) {
    if (profile) profile->span_start = dmi_seconds();
}

void dmi_profile_span(dmi_profile *profile, const dmi_work *work) {
    if (!profile) return;
    dmi_profile_row *row = row_of(profile, work);
    double now = dmi_seconds();
    row->spans++;
    row->seconds += now - profile->span_start;
    row->work.flop += work->flop;
    row->work.bytes += work->bytes;
    profile->span_start = dmi_seconds();
}

int32_t dmi_profile_rows(const dmi_profile *profile) { return profile ? profile->count : 0; }

const dmi_profile_row *dmi_profile_row_at(const dmi_profile *profile, int32_t index) {
    return &profile->rows[index];
}

void dmi_profile_reset(dmi_profile *profile) {
    if (profile) profile->count = 0;
}
