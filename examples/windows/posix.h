/* SPDX-License-Identifier: MIT */
/* What the programs and the tests use of POSIX that MinGW-w64 lacks or has for the system's code
 * page alone. Paths are UTF-8. Included before every file of theirs on Windows. */
#ifndef EXAMPLES_WINDOWS_POSIX_H
#define EXAMPLES_WINDOWS_POSIX_H

/* Then windows.h declares no sockets, which have another gethostname. */
#define WIN32_LEAN_AND_MEAN

#include <direct.h>
#include <dirent.h>
#include <fcntl.h>
#include <io.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* ---- files ---- */

/* In binary; files can be renamed and removed while it has them open. "x" after "w" refuses a file
 * that is there. */
FILE *windows_fopen(const char *path, const char *mode);
int windows_rename(const char *from, const char *to);
int windows_remove(const char *path);
/* Of a drive, a server or its share: EEXIST. */
int windows_mkdir(const char *path, unsigned permissions);
/* Whether the path exists. */
int windows_access(const char *path, int how);
/* /dev/null names NUL. */
int windows_open(const char *path, int flags, ...);
/* Whether it is a console; NUL is none. */
int windows_isatty(int descriptor);
char *windows_realpath(const char *path, char *resolved);
FILE *windows_tmpfile(void);
int fsync(int descriptor);

struct windows_stat {
    unsigned st_mode;
    unsigned st_dev;
    long long st_size;
    unsigned long long st_ino;
};
/* They follow links. */
int windows_stat(const char *path, struct windows_stat *is);
int windows_fstat(int descriptor, struct windows_stat *is);

#undef stat
#undef fstat
#define fopen windows_fopen
#define rename windows_rename
#define remove windows_remove
#define unlink windows_remove
#define mkdir windows_mkdir
#define access windows_access
#define open windows_open
#define isatty windows_isatty
#define realpath windows_realpath
#define tmpfile windows_tmpfile
#define truncate truncate64
#define ftruncate ftruncate64
#define stat windows_stat
#define lstat windows_stat /* which follows links */
#define fstat windows_fstat
#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

enum { F_GETFD = 1 };
/* Whether the descriptor is open. */
int fcntl(int descriptor, int command);

/* ---- folders ---- */

/* A name in UTF-8: Windows has 255 units of UTF-16 at most. */
struct windows_dirent {
    char d_name[3 * 255 + 1];
};
#define dirent windows_dirent
int scandir(const char *folder, struct dirent ***entries, int (*chosen)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **));
int alphasort(const struct dirent **a, const struct dirent **b);
/* `folder` ends with XXXXXX, which is replaced. */
char *mkdtemp(char *folder);

/* ---- text, variables ---- */

char *strsep(char **rest, const char *divisors);
/* A variable without a value does not exist. */
int setenv(const char *name, const char *value, int replace);
int unsetenv(const char *name);
ssize_t getline(char **line, size_t *capacity, FILE *file);
void *memmem(const void *bytes, size_t size, const void *wanted, size_t length);

/* ---- time, the machine ---- */

#ifndef TIME_UTC
enum { TIME_UTC = 1 };
#define timespec_get windows_timespec_get
#endif
int windows_timespec_get(struct timespec *time, int base);
/* In UTF-8. */
int gethostname(char *name, size_t capacity);

/* ---- memory, users ---- */

#define aligned_alloc(alignment, size) _aligned_malloc(size, alignment)
#define aligned_free _aligned_free
/* Nobody is refused by permissions. */
#define geteuid() 0
/* Windows has no modes of files. */
#define fchmod(descriptor, mode) ((void)(descriptor), (void)(mode), 0)

/* ---- signals ---- */

enum { SA_RESTART = 1 };
/* SIGBREAK is sent for Ctrl-Break, and when the console is closed, but then the process ends before
 * it could save. Windows does not send SIGPIPE and SIGXFSZ. */
enum { SIGHUP = SIGBREAK, SIGPIPE = 64, SIGXFSZ };
struct sigaction {
    void (*sa_handler)(int);
    int sa_flags;
    int sa_mask;
};
#define sigemptyset(set) (*(set) = 0)
#define sigaddset(set, number) (*(set) |= 1 << (number))
/* -1 for signals that there are not. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old);
const char *strsignal(int number);

/* The main of a program, which gets its arguments in UTF-8. */
#define main windows_main
int windows_main(int argc, const char **argv);

#endif
