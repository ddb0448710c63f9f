/* SPDX-License-Identifier: MIT */
/* See posix.h. */
#include "posix.h"

#include <errno.h>
#include <process.h>
#include <wchar.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#undef fopen
#undef rename
#undef remove
#undef mkdir
#undef access
#undef open

enum { PATH_CAPACITY = 4096 };

/* 0, or -1: errno says why. */
static int widen(const char *path, wchar_t wide[PATH_CAPACITY]) {
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_CAPACITY)) return 0;
    errno = GetLastError() == ERROR_INSUFFICIENT_BUFFER ? ENAMETOOLONG : EILSEQ;
    return -1;
}

/* Returns -1 with the errno of the last error of Windows. */
static int fail(void) {
    switch (GetLastError()) {
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
        case ERROR_BAD_NETPATH:
        case ERROR_INVALID_NAME:
        case ERROR_BAD_PATHNAME: errno = ENOENT; break;
        case ERROR_TOO_MANY_OPEN_FILES: errno = EMFILE; break;
        case ERROR_ACCESS_DENIED:
        case ERROR_SHARING_VIOLATION:
        case ERROR_LOCK_VIOLATION: errno = EACCES; break;
        case ERROR_WRITE_PROTECT: errno = EROFS; break;
        case ERROR_FILE_EXISTS:
        case ERROR_ALREADY_EXISTS: errno = EEXIST; break;
        case ERROR_DISK_FULL:
        case ERROR_HANDLE_DISK_FULL: errno = ENOSPC; break;
        case ERROR_NOT_ENOUGH_MEMORY:
        case ERROR_OUTOFMEMORY: errno = ENOMEM; break;
        case ERROR_FILENAME_EXCED_RANGE: errno = ENAMETOOLONG; break;
        case ERROR_INVALID_HANDLE: errno = EBADF; break;
        case ERROR_DIR_NOT_EMPTY: errno = ENOTEMPTY; break;
        case ERROR_DIRECTORY: errno = ENOTDIR; break;
        default: errno = EIO;
    }
    return -1;
}

/* ---- files ---- */

FILE *windows_fopen(const char *path, const char *mode) {
    wchar_t wide[PATH_CAPACITY];
    if (widen(path, wide)) return NULL;
    const DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    const DWORD access = *mode == 'r'   ? GENERIC_READ
                         : *mode == 'a' ? FILE_APPEND_DATA | FILE_WRITE_DATA
                                        : GENERIC_WRITE;
    const DWORD when = *mode == 'r' ? OPEN_EXISTING : *mode == 'a' ? OPEN_ALWAYS : CREATE_ALWAYS;
    const DWORD both = strchr(mode, '+') ? GENERIC_READ | GENERIC_WRITE : 0;
    HANDLE handle =
        CreateFileW(wide, access | both, share, NULL, when, FILE_ATTRIBUTE_NORMAL, NULL);
    if (handle == INVALID_HANDLE_VALUE) {
        fail();
        return NULL;
    }
    const int flags = _O_BINARY | (*mode == 'a' ? _O_APPEND : 0);
    const int descriptor = _open_osfhandle((intptr_t)handle, flags);
    if (descriptor < 0) {
        CloseHandle(handle);
        return NULL;
    }
    char binary[8];
    snprintf(binary, sizeof binary, "%c%sb", *mode, strchr(mode, '+') ? "+" : "");
    FILE *file = _fdopen(descriptor, binary);
    if (!file) _close(descriptor);
    return file;
}

int windows_rename(const char *from, const char *to) {
    wchar_t old[PATH_CAPACITY], new[PATH_CAPACITY];
    if (widen(from, old) || widen(to, new)) return -1;
    return MoveFileExW(old, new, MOVEFILE_REPLACE_EXISTING) ? 0 : fail();
}

int windows_remove(const char *path) {
    wchar_t wide[PATH_CAPACITY];
    if (widen(path, wide)) return -1;
    const DWORD attributes = GetFileAttributesW(wide);
    if (attributes != INVALID_FILE_ATTRIBUTES && attributes & FILE_ATTRIBUTE_DIRECTORY)
        return RemoveDirectoryW(wide) ? 0 : fail();
    return DeleteFileW(wide) ? 0 : fail();
}

int windows_mkdir(const char *path, unsigned permissions) {
    wchar_t wide[PATH_CAPACITY];
    (void)permissions;
    if (widen(path, wide)) return -1;
    return CreateDirectoryW(wide, NULL) ? 0 : fail();
}

int windows_access(const char *path, int how) {
    struct windows_stat is;
    (void)how;
    return windows_stat(path, &is);
}

int windows_open(const char *path, int flags, ...) {
    wchar_t wide[PATH_CAPACITY];
    if (widen(strcmp(path, "/dev/null") ? path : "NUL", wide)) return -1;
    return _wopen(wide, flags | _O_BINARY, _S_IREAD | _S_IWRITE);
}

char *windows_realpath(const char *path, char *resolved) {
    wchar_t wide[PATH_CAPACITY], whole[PATH_CAPACITY];
    if (widen(path, wide)) return NULL;
    const DWORD length = GetFullPathNameW(wide, PATH_CAPACITY, whole, NULL);
    if (length > 0 && length < PATH_CAPACITY &&
        WideCharToMultiByte(CP_UTF8, 0, whole, -1, resolved, PATH_MAX, NULL, NULL))
        return resolved;
    errno = ENAMETOOLONG;
    return NULL;
}

int fsync(int descriptor) {
    const HANDLE handle = (HANDLE)_get_osfhandle(descriptor);
    if (GetFileType(handle) != FILE_TYPE_DISK) {
        errno = EINVAL;
        return -1;
    }
    return FlushFileBuffers(handle) ? 0 : fail();
}

int fcntl(int descriptor, int command) {
    (void)command;
    return _get_osfhandle(descriptor) == -1 ? -1 : 0;
}

int windows_stat(const char *path, struct windows_stat *is) {
    wchar_t wide[PATH_CAPACITY];
    WIN32_FILE_ATTRIBUTE_DATA about;
    if (widen(path, wide)) return -1;
    if (!GetFileAttributesExW(wide, GetFileExInfoStandard, &about)) return fail();
    is->st_mode = about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? _S_IFDIR : _S_IFREG;
    is->st_size = (long long)((unsigned long long)about.nFileSizeHigh << 32 | about.nFileSizeLow);
    return 0;
}

int windows_fstat(int descriptor, struct windows_stat *is) {
    const HANDLE handle = (HANDLE)_get_osfhandle(descriptor);
    LARGE_INTEGER size = {0};
    if (handle == INVALID_HANDLE_VALUE) {
        errno = EBADF;
        return -1;
    }
    const int regular = GetFileType(handle) == FILE_TYPE_DISK;
    if (regular && !GetFileSizeEx(handle, &size)) return fail();
    *is = (struct windows_stat){regular ? _S_IFREG : _S_IFCHR, size.QuadPart};
    return 0;
}

/* ---- folders ---- */

int alphasort(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_entry(struct dirent ***entries, int *count, const struct dirent *entry) {
    struct dirent *copy = malloc(sizeof *copy);
    struct dirent **larger = realloc(*entries, ((size_t)*count + 1) * sizeof *larger);
    if (larger) *entries = larger;
    if (!copy || !larger) {
        free(copy);
        errno = ENOMEM;
        return -1;
    }
    *copy = *entry;
    larger[(*count)++] = copy;
    return 0;
}

int scandir(const char *folder, struct dirent ***entries, int (*chosen)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **)) {
    wchar_t wide[PATH_CAPACITY];
    _WDIR *open_folder = widen(folder, wide) ? NULL : _wopendir(wide);
    if (!open_folder) return -1;
    int count = 0, bad = 0;
    *entries = NULL;
    for (const struct _wdirent *found; !bad && (found = _wreaddir(open_folder)) != NULL;) {
        struct dirent entry = {0};
        bad = !WideCharToMultiByte(CP_UTF8, 0, found->d_name, -1, entry.d_name, sizeof entry.d_name,
                                   NULL, NULL);
        if (bad) errno = ENAMETOOLONG;
        else if (!chosen || chosen(&entry)) bad = add_entry(entries, &count, &entry);
    }
    const int error = errno;
    _wclosedir(open_folder);
    if (bad) {
        while (count > 0) free((*entries)[--count]);
        free(*entries);
        errno = error;
        return -1;
    }
    typedef int (*compare_any)(const void *, const void *);
    if (count > 0 && compare)
        qsort(*entries, (size_t)count, sizeof **entries, (compare_any)(void (*)(void))compare);
    return count;
}

char *mkdtemp(char *folder) {
    static int number;
    char *end = folder + strlen(folder) - 6;
    for (int attempt = 0; attempt < 1000; attempt++) {
        snprintf(end, 7, "%06x", (unsigned)(_getpid() * 1000 + number++) & 0xffffff);
        if (!windows_mkdir(folder, 0700)) return folder;
    }
    return NULL;
}

/* ---- text ---- */

ssize_t getline(char **line, size_t *capacity, FILE *file) {
    size_t length = 0;
    for (;;) {
        if (length + 2 > *capacity) {
            const size_t larger = *capacity ? 2 * *capacity : 128;
            char *grown = realloc(*line, larger);
            if (!grown) {
                errno = ENOMEM;
                return -1;
            }
            *line = grown;
            *capacity = larger;
        }
        const int c = getc(file);
        if (c == EOF && (length == 0 || ferror(file))) return -1;
        if (c != EOF) (*line)[length++] = (char)c;
        (*line)[length] = 0;
        if (c == EOF || c == '\n') return (ssize_t)length;
    }
}

void *memmem(const void *bytes, size_t size, const void *wanted, size_t length) {
    for (size_t at = 0; at + length <= size; at++)
        if (!memcmp((const char *)bytes + at, wanted, length)) return (char *)bytes + at;
    return NULL;
}

/* ---- signals ---- */

static void (*handlers[NSIG])(int);

/* Windows forgets a handler when it calls it. */
static void call_handler(int number) {
    signal(number, call_handler);
    handlers[number](number);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    if (number < 0 || number >= NSIG) {
        errno = EINVAL;
        return -1;
    }
    if (old) *old = (struct sigaction){.sa_handler = handlers[number]};
    if (!action) return 0;
    const int plain = action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN;
    handlers[number] = action->sa_handler;
    return signal(number, plain ? action->sa_handler : call_handler) == SIG_ERR ? -1 : 0;
}

const char *strsignal(int number) {
    switch (number) {
        case SIGINT: return "Interrupt";
        case SIGTERM: return "Terminated";
        case SIGHUP: return "Hangup";
        default: return "Unknown signal";
    }
}
