/* SPDX-License-Identifier: MIT */
/* What operating systems offer in different ways: the clock, processors, signals of threads, and
 * files. system_posix.c and system_windows.c implement it. Threads and locks are those of POSIX on
 * all systems. Paths are UTF-8. Functions that return -1 or false set errno. */
#ifndef DMI_BASE_SYSTEM_H
#define DMI_BASE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- processors, memory, time, processes ---- */

/* Processors that this process may use, at least 1. */
int32_t dmi_system_processors(void);
/* Requests large pages for a block, in vain where there are none. */
void dmi_system_use_large_pages(void *block, size_t size);
/* Seconds of a clock that never goes back. */
double dmi_seconds(void);
/* A number of this process; another one in a forked child. */
uint64_t dmi_system_process(void);

/* Between these two calls new threads start with all signals blocked but faults, which belong to
 * the thread that causes them, and the profiling timer: the program's signal handlers are to run on
 * its own threads. */
typedef union dmi_signals {
    uint64_t words[16]; /* the system's set of signals */
} dmi_signals;
void dmi_system_block_signals(dmi_signals *before);
void dmi_system_restore_signals(const dmi_signals *before);

/* The text of an errno: a string of the system, or `text`, which is filled. */
const char *dmi_errno_text(int error, char *text, size_t capacity);

/* ---- files ---- */

typedef struct dmi_file_info {
    uint64_t size;
    bool regular, folder;
    unsigned permissions;
} dmi_file_info;

enum { DMI_PERMISSIONS_DEFAULT = 0666 };

/* Never give descriptor 0, 1 or 2, which a program that has closed them still uses as its standard
 * input, output and error; where they are closed, the file has one of them for a moment. Child
 * processes do not inherit the descriptor, and opening a pipe does not wait. */
int dmi_system_open(const char *path);
/* A new file, for writing, less the umask; EEXIST where the name is taken. As long as it is open,
 * dmi_system_remove_dead leaves it alone, where the file system has locks. */
int dmi_system_create(const char *path, unsigned permissions);
void dmi_system_close(int descriptor);
/* Removes a file that was made by dmi_system_create and is not open in any process. */
void dmi_system_remove_dead(const char *path);
/* Removes a file that dmi_system_create made and that is still open; Windows removes it when it is
 * closed. */
void dmi_system_remove(int descriptor, const char *path);

/* True also where the folder is there already. */
bool dmi_system_make_folder(const char *path);

/* Follows links. */
bool dmi_system_file_info(const char *path, dmi_file_info *info);
bool dmi_system_descriptor_info(int descriptor, dmi_file_info *info);
/* Best effort: some file systems have no permissions. */
void dmi_system_set_permissions(int descriptor, unsigned permissions);
/* If `path` is a symbolic link to something that exists, target [capacity] becomes what it leads
 * to, and *is_link true. */
bool dmi_system_follow(const char *path, char *target, size_t capacity, bool *is_link);

/* Up to `size` bytes, which is at most 2^30, at an offset or, dmi_system_read, at the file's
 * position. Not interrupted by signals. */
int64_t dmi_system_read(int descriptor, void *bytes, size_t size);
int64_t dmi_system_read_at(int descriptor, void *bytes, size_t size, uint64_t offset);
int64_t dmi_system_write_at(int descriptor, const void *bytes, size_t size, uint64_t offset);
/* Waits until the bytes are on the disk; true also where that cannot be waited for. */
bool dmi_system_sync(int descriptor);
/* Gives the open file another name, whose file it replaces at once, and makes that survive a loss
 * of power where the file system can. */
bool dmi_system_rename(int descriptor, const char *from, const char *to);

#endif
