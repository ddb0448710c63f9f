/* SPDX-License-Identifier: MIT */
/* See refusal.h. */
#include "support/refusal.h"

#include <dirent.h>
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
