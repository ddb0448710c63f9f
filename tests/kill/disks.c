/* SPDX-License-Identifier: MIT */
/* Saves below limits of the size of a file that end at, before and within every tensor, and to
 * small file systems. The old file stays, and the next save succeeds once there is room. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "world.h"

enum { CUTS_MAX = 4096, NO_NAMESPACE = 77 };

typedef struct disk_series {
    file_kind kind;
    world *w;
    char folder[PATH_SIZE], path[PATH_SIZE];
    contents old, new;
} disk_series;

/* ---- the checks ---- */

static void check_state(const disk_series *s, contents expected, const char *when) {
    int32_t temporary;
    char other[256] = "";
    const contents c = file_read(s->path);
    if (!contents_equal(c, expected))
        run_fail("%s: the file has other contents, %zu bytes", when, c.size);
    free(c.bytes);
    if (!folder_count(s->folder, &file_names[s->kind], 1, &temporary, other) || temporary)
        run_fail("%s: %d temporary files and '%s' stay", when, (int)temporary, other);
}

/* After a save that had no room. */
static void check_full(const disk_series *s, dm_status status) {
    const char *text = dm_context_error(s->w->context);
    if (status != DM_ERROR_IO) run_fail("gives %s instead of DM_ERROR_IO", dm_status_name(status));
    else if (!strstr(text, s->path)) run_fail("'%s' does not name the file", text);
    check_state(s, s->old, "without room");
}

static void check_room(const disk_series *s) {
    if (world_save(s->w, s->kind, s->folder) != DM_OK)
        run_fail("fails with enough room: %s", dm_context_error(s->w->context));
    check_state(s, s->new, "with enough room");
}

/* ---- limits of the size of a file ---- */

static void add_cut(size_t *cuts, int32_t *count, size_t cut, size_t size) {
    for (int32_t i = 0; i < *count; i++)
        if (cuts[i] == cut) return;
    if (cut < size && *count < CUTS_MAX) cuts[(*count)++] = cut;
}

/* The sizes below the file's at which it is cut: around and within every tensor of a safetensors
 * file, whose header gives "data_offsets":[begin,end]; in other files 97 bytes apart. */
static int32_t list_cuts(const disk_series *s, size_t cuts[CUTS_MAX]) {
    const contents c = s->new;
    int32_t count = 0;
    uint64_t header = 0;
    const size_t ends[] = {0, 1, 7, 8, 9, c.size / 2, c.size - 1};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) add_cut(cuts, &count, ends[i], c.size);
    if (s->kind != CHECKPOINT && s->kind != NETWORK) {
        for (size_t at = 97; at < c.size; at += 97) add_cut(cuts, &count, at, c.size);
        return count;
    }
    static const char key[] = "\"data_offsets\":[";
    memcpy(&header, c.bytes, sizeof header); /* little-endian, as the library needs */
    const size_t data = header + 8;
    const uint8_t *at = c.bytes, *end = c.bytes + data;
    run_require(data < c.size, "the header of a safetensors file");
    while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1)) != NULL) {
        char *rest;
        at += sizeof key - 1;
        const size_t from = data + strtoull((const char *)at, &rest, 10);
        const size_t to = data + strtoull(rest + 1, NULL, 10);
        const size_t near[] = {from - 1, from, from + 1, from + (to - from) / 2, to - 1, to};
        for (size_t i = 0; i < sizeof near / sizeof *near; i++)
            add_cut(cuts, &count, near[i], c.size);
    }
    return count;
}

static void run_limits(const disk_series *s) {
    static size_t cuts[CUTS_MAX];
    struct rlimit before, limit;
    const int32_t count = list_cuts(s, cuts);
    run_require(getrlimit(RLIMIT_FSIZE, &before) == 0, "getrlimit");
    limit = before;
    for (int32_t i = 0; i <= count; i++) {
        limit.rlim_cur = i < count ? cuts[i] : s->new.size;
        if (!run_case("limit %s %zu", kind_names[s->kind], (size_t)limit.rlim_cur)) continue;
        file_write(s->path, s->old);
        run_require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
        const dm_status status = world_save(s->w, s->kind, s->folder);
        run_require(setrlimit(RLIMIT_FSIZE, &before) == 0, "setrlimit");
        if (i < count) check_full(s, status);
        else if (status) run_fail("fails though the file has just the size of the limit");
        check_room(s);
        totals->full_disks += i < count;
    }
}

/* ---- small file systems ---- */

static void write_text(const char *path, const char *text) {
    const int file = open(path, O_WRONLY);
    if (file < 0) return;
    const ssize_t written = write(file, text, strlen(text));
    (void)written; /* the mount tells */
    close(file);
}

/* Mounts a tmpfs at `folder`, seen by this process only. */
static bool mount_alone(const char *folder) {
    char map[64];
    const unsigned user = geteuid(), group = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", user, user);
    write_text("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1", group, group);
    write_text("/proc/self/gid_map", map);
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", folder, "tmpfs", 0, "size=64m") == 0;
}

static void set_room(const char *folder, const char *format, unsigned long long size) {
    char data[64];
    snprintf(data, sizeof data, format, size);
    run_require(mount("none", folder, "tmpfs", MS_REMOUNT, data) == 0, data);
}

/* Every number of blocks between that of the old file and one that suffices. */
static void run_sizes(const disk_series *s, size_t block) {
    const size_t used = (s->old.size + block - 1) / block,
                 needed = (s->new.size + block - 1) / block;
    for (size_t blocks = used; blocks <= used + needed; blocks++) {
        if (!run_case("disk %s %zu blocks", kind_names[s->kind], blocks)) continue;
        file_write(s->path, s->old);
        set_room(s->folder, "size=%llu", blocks * block);
        const dm_status status = world_save(s->w, s->kind, s->folder);
        set_room(s->folder, "size=%llu", 64 << 20);
        if (blocks < used + needed) check_full(s, status);
        else if (status) run_fail("fails though there is just enough room");
        check_room(s);
        totals->full_disks += blocks < used + needed;
    }
}

/* A file system that can hold no other file than the old one. */
static void run_inodes(const disk_series *s) {
    struct statvfs about;
    if (!run_case("disk %s no inode", kind_names[s->kind])) return;
    file_write(s->path, s->old);
    run_require(statvfs(s->folder, &about) == 0, s->folder);
    const unsigned long long used = about.f_files - about.f_ffree;
    set_room(s->folder, "nr_inodes=%llu", used);
    const dm_status status = world_save(s->w, s->kind, s->folder);
    set_room(s->folder, "nr_inodes=%llu", used + 100);
    check_full(s, status);
    check_room(s);
    totals->full_disks++;
}

static void run_file_systems(const disk_series series[FILE_KINDS]) {
    int status;
    fflush(NULL);
    const pid_t child = fork();
    run_require(child >= 0, "fork");
    if (child == 0) {
        struct statvfs about;
        if (!mount_alone(series[0].folder)) _exit(NO_NAMESPACE);
        run_require(statvfs(series[0].folder, &about) == 0, series[0].folder);
        for (int32_t k = 0; k < FILE_KINDS; k++) {
            run_sizes(&series[k], about.f_bsize);
            run_inodes(&series[k]);
            unlink(series[k].path);
        }
        _exit(0);
    }
    run_require(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
        run_leave_out("small file systems", "no tmpfs can be mounted");
    else if (status) run_fail("the process ended with status %x", (unsigned)status);
}

void full_disks(void) {
    world w;
    disk_series s[FILE_KINDS] = {0};
    char scratch[PATH_SIZE], folder[PATH_SIZE];
    run_folder(scratch, "scratch");
    run_folder(folder, "disk");
    world_create(&w);
    world_advance(&w, 1);
    for (int32_t k = 0; k < FILE_KINDS; k++) s[k].old = world_contents(&w, k, scratch);
    world_advance(&w, 2);
    calls_skip_syncs(true);
    signal(SIGXFSZ, SIG_IGN);
    for (int32_t k = 0; k < FILE_KINDS; k++) {
        s[k].kind = k;
        s[k].w = &w;
        s[k].new = world_contents(&w, k, scratch);
        snprintf(s[k].folder, PATH_SIZE, "%s", folder);
        world_path(s[k].path, folder, k);
        run_limits(&s[k]);
        unlink(s[k].path);
    }
    run_file_systems(s);
    signal(SIGXFSZ, SIG_DFL);
    calls_skip_syncs(false);
    for (int32_t k = 0; k < FILE_KINDS; k++) {
        free(s[k].old.bytes);
        free(s[k].new.bytes);
    }
    world_close(&w);
}
