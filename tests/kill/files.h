/* SPDX-License-Identifier: MIT */
/* Files and folders of the tests. Failures of the system end the program. */
#ifndef KILL_FILES_H
#define KILL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct contents {
    uint8_t *bytes; /* NULL: there is no file */
    size_t size;
} contents;

/* The file's contents, to be freed. */
contents file_read(const char *path);
void file_write(const char *path, contents c);
/* Both may be absent. */
bool contents_equal(contents a, contents b);

/* Makes the folder if there is none; otherwise removes everything in it. */
void folder_empty(const char *path);
/* Counts the temporary files NAME.CHECKSUM.NUMBER.tmp of the names. false: there is a file that is
 * neither that nor one of the names, and *other is its name. */
bool folder_count(const char *path, const char *const *names, int32_t count, int32_t *temporary,
                  char other[256]);
/* Open descriptors of this process. */
int32_t descriptors_open(void);

#endif
