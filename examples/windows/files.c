/* SPDX-License-Identifier: MIT */
/* See posix.h: files and folders, by the functions of Windows for UTF-16. */
#include "posix.h"

#include <errno.h>
#include <process.h>
#include <wchar.h>
#include <windows.h>

#undef fopen
#undef rename
#undef remove
#undef mkdir
#undef access
#undef open

/* Windows calls a longer path one that is not there. */
enum { PATH_CAPACITY = MAX_PATH };

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

/* How others may have a file open. With FILE_FLAG_BACKUP_SEMANTICS folders are opened as well, of
 * which nothing can be read. */
enum { SHARED = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };

FILE *windows_fopen(const char *path, const char *mode) {
    wchar_t wide[PATH_CAPACITY];
    if (widen(path, wide)) return NULL;
    const DWORD access = *mode == 'r'   ? GENERIC_READ
                         : *mode == 'a' ? FILE_APPEND_DATA | FILE_WRITE_DATA
                                        : GENERIC_WRITE;
    const DWORD when = *mode == 'r'        ? OPEN_EXISTING
                       : *mode == 'a'      ? OPEN_ALWAYS
                       : strchr(mode, 'x') ? CREATE_NEW
                                           : CREATE_ALWAYS;
    const DWORD both = strchr(mode, '+') ? GENERIC_READ | GENERIC_WRITE : 0;
    const DWORD folders = *mode == 'r' && !both ? FILE_FLAG_BACKUP_SEMANTICS : 0;
    HANDLE handle =
        CreateFileW(wide, access | both, SHARED, NULL, when, FILE_ATTRIBUTE_NORMAL | folders, NULL);
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

FILE *windows_tmpfile(void) {
    wchar_t folder[MAX_PATH + 1], name[MAX_PATH + 1];
    if (!GetTempPathW(MAX_PATH + 1, folder) || !GetTempFileNameW(folder, L"dm", 0, name)) {
        fail();
        return NULL;
    }
    return _wfopen(name, L"w+bTD"); /* deleted when it is closed */
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
    const size_t server = strspn(path, "/\\") == 2 ? 2 + strcspn(path + 2, "/\\") : 0;
    (void)permissions;
    if (widen(path, wide)) return -1;
    if (!(server && !path[server]) && CreateDirectoryW(wide, NULL)) return 0;
    /* Of drives and servers Windows says that they cannot be made, not that they are there. */
    const DWORD attributes = server && !path[server]                 ? FILE_ATTRIBUTE_DIRECTORY
                             : GetLastError() == ERROR_ACCESS_DENIED ? GetFileAttributesW(wide)
                                                                     : INVALID_FILE_ATTRIBUTES;
    if (attributes == INVALID_FILE_ATTRIBUTES || !(attributes & FILE_ATTRIBUTE_DIRECTORY))
        return fail();
    errno = EEXIST;
    return -1;
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

int windows_isatty(int descriptor) {
    DWORD mode;
    return GetConsoleMode((HANDLE)_get_osfhandle(descriptor), &mode) != 0;
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

static unsigned long long join(DWORD high, DWORD low) {
    return (unsigned long long)high << 32 | low;
}

static int describe(HANDLE file, struct windows_stat *is) {
    BY_HANDLE_FILE_INFORMATION about;
    *is = (struct windows_stat){.st_mode = _S_IFCHR};
    if (GetFileType(file) != FILE_TYPE_DISK) return 0;
    if (!GetFileInformationByHandle(file, &about)) return fail();
    is->st_mode = about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? _S_IFDIR : _S_IFREG;
    is->st_size = (long long)join(about.nFileSizeHigh, about.nFileSizeLow);
    is->st_dev = about.dwVolumeSerialNumber;
    is->st_ino = join(about.nFileIndexHigh, about.nFileIndexLow);
    return 0;
}

int windows_stat(const char *path, struct windows_stat *is) {
    wchar_t wide[PATH_CAPACITY];
    if (widen(path, wide)) return -1;
    HANDLE file = CreateFileW(wide, FILE_READ_ATTRIBUTES, SHARED, NULL, OPEN_EXISTING,
                              FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file == INVALID_HANDLE_VALUE) return fail();
    const int bad = describe(file, is);
    CloseHandle(file);
    return bad;
}

int windows_fstat(int descriptor, struct windows_stat *is) {
    const HANDLE handle = (HANDLE)_get_osfhandle(descriptor);
    if (handle != INVALID_HANDLE_VALUE) return describe(handle, is);
    errno = EBADF;
    return -1;
}

/* ---- folders ---- */

int alphasort(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_entry(struct dirent ***entries, int *count, const struct dirent *entry) {
    const size_t size = offsetof(struct dirent, d_name) + strlen(entry->d_name) + 1;
    struct dirent *copy = malloc(size);
    struct dirent **larger =
        *count < INT_MAX ? realloc(*entries, ((size_t)*count + 1) * sizeof *larger) : NULL;
    if (larger) *entries = larger;
    if (!copy || !larger) {
        free(copy);
        errno = ENOMEM;
        return -1;
    }
    memcpy(copy, entry, size);
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
        struct dirent entry;
        /* Names that are no UTF-16 get U+FFFD in them, and are not found by that name. */
        if (!WideCharToMultiByte(CP_UTF8, 0, found->d_name, -1, entry.d_name, sizeof entry.d_name,
                                 NULL, NULL))
            continue;
        if (!chosen || chosen(&entry)) bad = add_entry(entries, &count, &entry);
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
