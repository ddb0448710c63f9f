/* SPDX-License-Identifier: MIT */
/* See refusal.h. */
#include "support/refusal.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <zlib.h>

#include "support/support.h"

void test_accepted(const dm_context *context, int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s", dm_status_name(status), dm_context_error(context));
}

void test_refused(const dm_context *context, int32_t status, int32_t want, const char *words) {
    const char *text = dm_context_error(context);
    char list[512];
    ck_assert_uint_lt(strlen(words), sizeof list);
    strcpy(list, words);
    ck_assert_msg(status == want, "%s, not %s (%s)", dm_status_name(status), dm_status_name(want),
                  text);
    for (char *at = list; at;) {
        char *word = at, *bar = strchr(at, '|');
        at = bar ? bar + 1 : NULL;
        if (bar) *bar = 0;
        ck_assert_msg(strstr(text, word), "\"%s\" does not contain \"%s\"", text, word);
    }
}

/* ---- memory and files ---- */

static int not_dots(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* A number that differs where the bytes do. */
static uint64_t fingerprint(const char *path) {
    static unsigned char bytes[1 << 16];
    uLong sum = crc32(0, NULL, 0);
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, file)) > 0;)
        sum = crc32(sum, bytes, (uInt)got);
    fclose(file);
    return sum;
}

/* A line for each entry of the folder, by name: name, size, fingerprint. To be freed. */
static char *list_folder(const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, not_dots, alphasort);
    ck_assert_msg(count >= 0, "%s cannot be listed", folder);
    size_t capacity = 400 * (size_t)count + 1, length = 0;
    char *text = calloc(capacity, 1);
    ck_assert_ptr_nonnull(text);
    for (int i = 0; i < count; i++) {
        char path[512];
        struct stat about;
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        ck_assert_int_eq(stat(path, &about), 0);
        length +=
            (size_t)snprintf(text + length, capacity - length, "%s %lld %016llx\n",
                             entries[i]->d_name,
                             S_ISREG(about.st_mode) ? (long long)about.st_size : -1LL,
                             S_ISREG(about.st_mode) ? (unsigned long long)fingerprint(path) : 0);
        free(entries[i]);
    }
    free(entries);
    return text;
}

test_untouched test_untouched_begin(const dm_context *context, const char *folder) {
    test_untouched untouched = {.context = context, .folder = folder};
    ck_assert_int_eq(dm_context_get_memory(context, &untouched.used, NULL, NULL), DM_OK);
    if (folder) untouched.listing = list_folder(folder);
    return untouched;
}

void test_untouched_end(test_untouched *untouched) {
    uint64_t used;
    ck_assert_int_eq(dm_context_get_memory(untouched->context, &used, NULL, NULL), DM_OK);
    ck_assert_msg(used == untouched->used, "%llu bytes are in use, %llu were before",
                  (unsigned long long)used, (unsigned long long)untouched->used);
    if (!untouched->folder) return;
    char *now = list_folder(untouched->folder);
    ck_assert_msg(!strcmp(now, untouched->listing), "%s held\n%sand holds\n%s", untouched->folder,
                  untouched->listing, now);
    free(now);
    free(untouched->listing);
    untouched->listing = NULL;
}

/* ---- full disks ---- */

/* In a mount namespace of the thread's own, so that nobody else sees the disk and it goes with the
 * test. */
static bool mount_disk(const char *folder, size_t bytes) {
#ifdef __linux__
    char options[64];
    snprintf(options, sizeof options, "size=%zu", bytes);
    if (unshare(CLONE_NEWNS)) return false;
    if (mount("none", "/", "", MS_REC | MS_PRIVATE, "")) return false;
    return mount("dm-tests", folder, "tmpfs", 0, options) == 0;
#else
    (void)folder, (void)bytes;
    return false;
#endif
}

bool test_disk_begin(test_disk *disk, size_t bytes, bool mount) {
    *disk = (test_disk){0};
    snprintf(disk->folder, sizeof disk->folder, "%s", test_folder());
    disk->mounted = mount && mount_disk(disk->folder, bytes);
    if (mount) return disk->mounted;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &disk->before), 0);
    struct rlimit tight = disk->before;
    tight.rlim_cur = bytes;
    disk->handler = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    return true;
}

void test_disk_lift(test_disk *disk) {
    if (disk->mounted) return;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &disk->before), 0);
    signal(SIGXFSZ, disk->handler);
}

void test_disk_end(test_disk *disk) {
    test_disk_lift(disk);
#ifdef __linux__
    if (disk->mounted) ck_assert_int_eq(umount2(disk->folder, MNT_DETACH), 0);
#endif
}
