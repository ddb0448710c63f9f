/* SPDX-License-Identifier: MIT */
/* Copies of CIFAR-10's binary version for tests: small, and whole or broken as the test chooses. */
#ifndef DM_TESTS_CIFAR10_H
#define DM_TESTS_CIFAR10_H

#include <stddef.h>
#include <stdint.h>

enum { CIFAR10_RECORD = 3073 }; /* a label, then 32 x 32 bytes of each of red, green and blue */

typedef struct cifar10_member {
    const char *name;
    int records;      /* made from the member's index in the list */
    const char *text; /* instead of records, where not NULL */
} cifar10_member;

/* Byte `p` of colour `c` in record `r` of file `f`; the label is (f + r) % 10. */
uint8_t cifar10_sample(int f, int r, int c, int p);
/* `count` records of file `f`. */
void cifar10_records(uint8_t *bytes, int f, int count);

void cifar10_tar_header(uint8_t header[512], const char *name, size_t size);
/* mode "wb" gives a .tar.gz, "wbT" a plain .tar. */
void cifar10_write_archive(const char *path, const char *mode, const cifar10_member *members,
                           int count);
/* The members as files of a folder that is there. */
void cifar10_write_folder(const char *folder, const cifar10_member *members, int count);

#endif
