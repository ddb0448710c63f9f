/* SPDX-License-Identifier: MIT */
/* Files of CIFAR-10, good and damaged ones, at world.path. */
#ifndef DM_TESTS_ALLOC_CIFAR_H
#define DM_TESTS_ALLOC_CIFAR_H

#include "world.h"

typedef enum cifar_kind {
    CIFAR_FOLDER,
    CIFAR_TEST_SPLIT,
    CIFAR_FOLDER_INSIDE, /* cifar-10-batches-bin in the folder */
    CIFAR_TAR,
    CIFAR_TARGZ,
    CIFAR_MISSING,  /* a folder without the fourth batch */
    CIFAR_SIZE,     /* a file of a wrong size */
    CIFAR_LABEL,    /* a label of 10 */
    CIFAR_ABSENT,   /* nothing at the path */
    CIFAR_CUT,      /* the first half of the archive */
    CIFAR_DAMAGED,  /* changed bytes in the compressed data */
    CIFAR_CHECKSUM, /* a wrong checksum of gzip */
    CIFAR_HEADER,   /* a wrong checksum of a tar header */
    CIFAR_TEXT      /* a file of text */
} cifar_kind;

void cifar_write(world *w, cifar_kind kind);

#endif
