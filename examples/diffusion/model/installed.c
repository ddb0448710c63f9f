/* SPDX-License-Identifier: MIT */
/* See installed.h. */
#include "model/installed.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef _WIN32
#include <windows.h>
#elif defined __APPLE__
#include <mach-o/dyld.h>
#endif

/* From the folder of the program: where it is installed, and where it was built. */
#ifndef DIFFUSION_DATA_FROM_BIN
#define DIFFUSION_DATA_FROM_BIN "../share/diffusion"
#endif
static const char *const folders[] = {DIFFUSION_DATA_FROM_BIN, "../examples/diffusion/model"};
static const char name[] = "cifar10.safetensors";

/* The running program. 1, or 0 if it is not known. */
static int own_path(char path[PATH_MAX]) {
#ifdef _WIN32
    wchar_t wide[PATH_MAX];
    DWORD length = GetModuleFileNameW(NULL, wide, PATH_MAX);
    return length && length < PATH_MAX &&
           WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, PATH_MAX, NULL, NULL) > 0;
#elif defined __APPLE__
    uint32_t size = PATH_MAX;
    return !_NSGetExecutablePath(path, &size);
#else
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
#endif
}

int installed_model(char *path, size_t capacity) {
    char own[PATH_MAX];
    struct stat is;
    if (!own_path(own)) return 0;
    size_t folder = strlen(own);
    while (folder && own[folder - 1] != '/' && own[folder - 1] != '\\') folder--;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char found[PATH_MAX], clean[PATH_MAX];
        int length = snprintf(found, sizeof found, "%.*s%s/%s", (int)folder, own, folders[i], name);
        if (length < 0 || (size_t)length >= sizeof found || !realpath(found, clean)) continue;
        if (stat(clean, &is) || !S_ISREG(is.st_mode) || strlen(clean) >= capacity) continue;
        snprintf(path, capacity, "%s", clean);
        return 1;
    }
    return 0;
}
