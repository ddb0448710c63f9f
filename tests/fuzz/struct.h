/* SPDX-License-Identifier: MIT */
/* Public structs with contents from the input of a fuzz target, by the table of their members. */
#ifndef DM_TESTS_FUZZ_STRUCT_H
#define DM_TESTS_FUZZ_STRUCT_H

#include "fuzz/fuzz.h"

enum { FUZZ_STRUCT_MAX = 4096 };

/* A struct while it is made: all its bytes, whatever its struct_size is. */
typedef union fuzz_struct {
    uint8_t bytes[FUZZ_STRUCT_MAX];
    uint32_t size;
    double align;
    void *pointer;
} fuzz_struct;

/* Fills *out, whose members have valid values before, from the input: some members with other
 * values, or everything at random, and struct_size likewise. Pointers become NULL and functions
 * too. `name` is the struct's. */
void fuzz_struct_fill(fuzz_struct *out, const char *name, fuzz_input *in);
/* A copy of as many bytes as struct_size says, so that reading past it can be seen. To be freed. */
void *fuzz_struct_copy(const fuzz_struct *from);
/* A struct to be filled by the library: only its size is set. To be freed. */
void *fuzz_struct_empty(const char *name, fuzz_input *in);
/* A size of a struct from the input, right most of the time. */
size_t fuzz_struct_size(const char *name, fuzz_input *in);

/* An array of *count elements that ends where an array of `capacity` elements ends, or NULL if the
 * input says so; *count is reduced to `capacity`. */
const void *fuzz_array(const void *all, size_t element, uint64_t capacity, uint64_t *count,
                       fuzz_input *in);

#endif
