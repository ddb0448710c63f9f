/* SPDX-License-Identifier: MIT */
/* What the tests of pictures share. */
#ifndef DM_TESTS_PICTURES_H
#define DM_TESTS_PICTURES_H

#include "picture/read.h"
#include "support/support.h"

/* The path of a file of make_pictures.py; valid until the next call. */
static inline const char *picture_path(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "tests/program/data/%s", name);
    return path;
}

/* Over the colour that make_pictures.py takes. */
static inline picture_options as_it_is(int32_t channels) {
    return (picture_options){.channels = channels, .background = {10, 200, 90}};
}

/* An allocated picture; a file that is refused fails the test. */
static inline picture read_file(const char *path, const picture_options *o) {
    char error[256] = "";
    picture p;
    ck_assert_msg(picture_read(&p, path, o, error, sizeof error) == 0, "%s", error);
    ck_assert_ptr_nonnull(p.pixels);
    ck_assert_int_eq(p.channels, o->channels);
    return p;
}

/* Random numbers of 31 bits. */
static inline uint32_t picture_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
