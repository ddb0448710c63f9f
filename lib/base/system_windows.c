/* SPDX-License-Identifier: MIT */
/* See system.h. For Windows, built with MinGW-w64 and its POSIX threads. Descriptors are those of
 * the C library, made from handles so that the sharing of files can be chosen: a file that is being
 * written cannot be removed or replaced by another process, which stands for the lock. */
#if defined(_WIN32)

#include "base/system.h"

#define WIN32_LEAN_AND_MEAN
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <windows.h>

/* ---- processors, memory, time, processes ---- */

int32_t dmi_system_processors(void) {
    DWORD_PTR mine, all;
    if (GetProcessAffinityMask(GetCurrentProcess(), &mine, &all) && mine)
        return (int32_t)__builtin_popcountll((unsigned long long)mine);
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwNumberOfProcessors > 0 ? (int32_t)info.dwNumberOfProcessors : 1;
}

/* They need a right that users do not have. */
void dmi_system_use_large_pages(void *block, size_t size) { (void)block, (void)size; }

double dmi_seconds(void) {
    LARGE_INTEGER ticks, rate;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&rate);
    return (double)ticks.QuadPart / (double)rate.QuadPart;
}

uint64_t dmi_system_process(void) { return GetCurrentProcessId(); }

const char *dmi_errno_text(int error, char *text, size_t capacity) {
    if (strerror_s(text, capacity, error)) snprintf(text, capacity, "error %d", error);
    return text;
}

/* Windows has no signals that a thread could take from another. */
void dmi_system_block_signals(dmi_signals *before) { (void)before; }
void dmi_system_restore_signals(const dmi_signals *before) { (void)before; }

/* ---- paths and errors ---- */

enum { PATH_CAPACITY = 4096 };

/* The whole path in UTF-16. false: errno says why. */
static bool widen(const char *path, wchar_t wide[PATH_CAPACITY]) {
    wchar_t given[PATH_CAPACITY];
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, given, PATH_CAPACITY)) {
        errno = GetLastError() == ERROR_INSUFFICIENT_BUFFER ? ENAMETOOLONG : EILSEQ;
        return false;
    }
    const DWORD length = GetFullPathNameW(given, PATH_CAPACITY, wide, NULL);
    if (length > 0 && length < PATH_CAPACITY) return true;
    errno = length > 0 ? ENAMETOOLONG : EINVAL;
    return false;
}

/* The errno of the last error of Windows. */
static int last_errno(void) {
    static const struct {
        DWORD windows;
        int error;
    } known[] = {
        {ERROR_FILE_NOT_FOUND, ENOENT},
        {ERROR_PATH_NOT_FOUND, ENOENT},
        {ERROR_BAD_NETPATH, ENOENT},
        {ERROR_INVALID_NAME, ENOENT},
        {ERROR_BAD_PATHNAME, ENOENT},
        {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
        {ERROR_ACCESS_DENIED, EACCES},
        {ERROR_SHARING_VIOLATION, EACCES},
        {ERROR_LOCK_VIOLATION, EACCES},
        {ERROR_WRITE_PROTECT, EROFS},
        {ERROR_FILE_EXISTS, EEXIST},
        {ERROR_ALREADY_EXISTS, EEXIST},
        {ERROR_DISK_FULL, ENOSPC},
        {ERROR_HANDLE_DISK_FULL, ENOSPC},
        {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
        {ERROR_OUTOFMEMORY, ENOMEM},
        {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
    };
    const DWORD error = GetLastError();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].windows == error) return known[i].error;
    return EIO;
}

static HANDLE handle_of(int descriptor) { return (HANDLE)_get_osfhandle(descriptor); }

/* ---- opening ---- */

static int descriptor_of(HANDLE handle, int flags) {
    if (handle == INVALID_HANDLE_VALUE) {
        errno = last_errno();
        return -1;
    }
    int descriptor = _open_osfhandle((intptr_t)handle, flags | _O_BINARY | _O_NOINHERIT);
    if (descriptor < 0) {
        CloseHandle(handle);
        return -1;
    }
    /* Above those of standard input, output and error, which may be closed. */
    int taken[3], count = 0;
    while (descriptor >= 0 && descriptor <= 2) {
        taken[count++] = descriptor;
        descriptor = _dup(descriptor);
    }
    const int error = errno;
    while (count > 0) _close(taken[--count]);
    errno = error;
    return descriptor;
}

int dmi_system_open(const char *path) {
    wchar_t wide[PATH_CAPACITY];
    if (!widen(path, wide)) return -1;
    const HANDLE handle =
        CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    return descriptor_of(handle, _O_RDONLY);
}

/* DELETE, so that the open file can be renamed. Permissions are the folder's. */
int dmi_system_create(const char *path, unsigned permissions) {
    (void)permissions;
    wchar_t wide[PATH_CAPACITY];
    if (!widen(path, wide)) return -1;
    const HANDLE handle = CreateFileW(wide, GENERIC_WRITE | DELETE, FILE_SHARE_READ, NULL,
                                      CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    return descriptor_of(handle, _O_WRONLY);
}

void dmi_system_close(int descriptor) { _close(descriptor); }

/* ---- removing ---- */

/* By its handle, since an open file cannot be removed by its name. */
void dmi_system_remove(int descriptor, const char *path) {
    (void)path;
    FILE_DISPOSITION_INFO info = {.DeleteFile = TRUE};
    SetFileInformationByHandle(handle_of(descriptor), FileDispositionInfo, &info, sizeof info);
}

/* Fails where a process has the file open. */
void dmi_system_remove_dead(const char *path) {
    wchar_t wide[PATH_CAPACITY];
    if (widen(path, wide)) DeleteFileW(wide);
}

bool dmi_system_make_folder(const char *path) {
    wchar_t wide[PATH_CAPACITY];
    dmi_file_info info;
    if (!widen(path, wide)) return false;
    if (CreateDirectoryW(wide, NULL)) return true;
    const int error = last_errno();
    if (dmi_system_file_info(path, &info) && info.folder) return true;
    errno = error;
    return false;
}

/* ---- what a file is ---- */

bool dmi_system_file_info(const char *path, dmi_file_info *info) {
    WIN32_FILE_ATTRIBUTE_DATA about;
    wchar_t wide[PATH_CAPACITY];
    if (!widen(path, wide)) return false;
    if (!GetFileAttributesExW(wide, GetFileExInfoStandard, &about)) {
        errno = last_errno();
        return false;
    }
    const bool folder = about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
    *info = (dmi_file_info){.size = (uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow,
                            .regular = !folder && !(about.dwFileAttributes & FILE_ATTRIBUTE_DEVICE),
                            .folder = folder,
                            .permissions = DMI_PERMISSIONS_DEFAULT};
    return true;
}

bool dmi_system_descriptor_info(int descriptor, dmi_file_info *info) {
    LARGE_INTEGER size = {0};
    const HANDLE handle = handle_of(descriptor);
    const DWORD type = GetFileType(handle);
    if (type == FILE_TYPE_DISK && !GetFileSizeEx(handle, &size)) {
        errno = last_errno();
        return false;
    }
    *info = (dmi_file_info){.size = (uint64_t)size.QuadPart,
                            .regular = type == FILE_TYPE_DISK,
                            .permissions = DMI_PERMISSIONS_DEFAULT};
    return true;
}

void dmi_system_set_permissions(int descriptor, unsigned permissions) {
    (void)descriptor, (void)permissions;
}

/* Links are rare on Windows, and a save replaces them. */
bool dmi_system_follow(const char *path, char *target, size_t capacity, bool *is_link) {
    (void)path, (void)target, (void)capacity;
    *is_link = false;
    return true;
}

/* ---- reading and writing ---- */

int64_t dmi_system_read(int descriptor, void *bytes, size_t size) {
    DWORD got = 0;
    if (ReadFile(handle_of(descriptor), bytes, (DWORD)size, &got, NULL)) return got;
    if (GetLastError() == ERROR_HANDLE_EOF || GetLastError() == ERROR_BROKEN_PIPE) return 0;
    errno = last_errno();
    return -1;
}

static OVERLAPPED at(uint64_t offset) {
    return (OVERLAPPED){.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
}

int64_t dmi_system_read_at(int descriptor, void *bytes, size_t size, uint64_t offset) {
    DWORD got = 0;
    OVERLAPPED place = at(offset);
    if (ReadFile(handle_of(descriptor), bytes, (DWORD)size, &got, &place)) return got;
    if (GetLastError() == ERROR_HANDLE_EOF) return 0;
    errno = last_errno();
    return -1;
}

int64_t dmi_system_write_at(int descriptor, const void *bytes, size_t size, uint64_t offset) {
    DWORD written = 0;
    OVERLAPPED place = at(offset);
    if (WriteFile(handle_of(descriptor), bytes, (DWORD)size, &written, &place)) return written;
    errno = last_errno();
    return -1;
}

bool dmi_system_sync(int descriptor) {
    if (FlushFileBuffers(handle_of(descriptor))) return true;
    errno = last_errno();
    return false;
}

/* By its handle, since other ways refuse a file that is open. */
bool dmi_system_rename(int descriptor, const char *from, const char *to) {
    (void)from;
    wchar_t wide[PATH_CAPACITY];
    if (!widen(to, wide)) return false;
    union {
        FILE_RENAME_INFO info;
        char room[sizeof(FILE_RENAME_INFO) + sizeof wide];
    } u = {0};
    const size_t bytes = wcslen(wide) * sizeof *wide;
    u.info.ReplaceIfExists = TRUE;
    u.info.FileNameLength = (DWORD)bytes;
    memcpy(u.info.FileName, wide, bytes);
    if (SetFileInformationByHandle(handle_of(descriptor), FileRenameInfo, &u, sizeof u))
        return true;
    errno = last_errno();
    return false;
}

#endif
