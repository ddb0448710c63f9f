/* SPDX-License-Identifier: MIT */
/* See machine.h. From files of /proc and of control groups, which other systems than Linux lack. */
#include "train/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The text behind `key` and a colon in a file; "" if it is not there. */
static void read_value(const char *path, const char *key, char *text, size_t capacity) {
    char line[512];
    FILE *file = fopen(path, "r");
    *text = 0;
    if (!file) return;
    while (!*text && fgets(line, sizeof line, file)) {
        size_t length = strlen(key);
        char *colon = strchr(line, ':');
        if (strncmp(line, key, length) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(text, capacity, "%s", colon);
    }
    (void)fclose(file); /* which was only read */
}

const char *machine_name(char *text, size_t capacity) {
    read_value("/proc/cpuinfo", "model name", text, capacity);
    if (!*text) snprintf(text, capacity, "not known");
    return text;
}

/* "24 kB" of a file of /proc in bytes; 0 if it is not there. */
static uint64_t read_kilobytes(const char *path, const char *key) {
    char text[64];
    read_value(path, key, text, sizeof text);
    return strtoull(text, NULL, 10) * 1024;
}

/* A number in a file of its own; 0 if there is none, as for "max". */
static uint64_t read_number(const char *path) {
    char text[64] = "";
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (!fgets(text, sizeof text, file)) *text = 0;
    (void)fclose(file); /* which was only read */
    return strtoull(text, NULL, 10);
}

uint64_t machine_free_memory(void) {
    uint64_t available = read_kilobytes("/proc/meminfo", "MemAvailable");
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max"),
             used = read_number("/sys/fs/cgroup/memory.current");
    if (!limit || !available) return available;
    uint64_t left = limit > used ? limit - used : 0;
    return left < available ? left : available;
}

uint64_t machine_used_memory(void) { return read_kilobytes("/proc/self/status", "VmRSS"); }
