/* SPDX-License-Identifier: MIT */
/* See run_folder.h. */
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/files.h"
#include "train/settings.h"

const char checkpoint_name[] = "checkpoint.safetensors", settings_name[] = "settings.txt",
           log_name[] = "loss.csv", evaluation_name[] = "evaluation.csv";
static const char replaced_name[] = "checkpoint.replaced.safetensors";
enum { FILENAME_SIZE = 300 };

void beside(const char *path, const char *name, char out[OUTPUT_PATH_SIZE]) {
    const char *slash = strrchr(path, '/');
    snprintf(out, OUTPUT_PATH_SIZE, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
}

/* ---- what is in the folder ---- */

/* "", or ".0.part" of a file that was not finished, since the run was killed. */
static int is_end(const char *name) {
    if (!*name) return 1;
    size_t digits = *name == '.' ? strspn(name + 1, "0123456789") : 0;
    return digits && !strcmp(name + 1 + digits, ".part");
}

static int is_named(const char *name, const char *known) {
    size_t length = strlen(known);
    return !strncmp(name, known, length) && is_end(name + length);
}

/* "samples-000100.png". */
static int is_grid(const char *name) {
    size_t digits = strncmp(name, "samples-", 8) ? 0 : strspn(name + 8, "0123456789");
    return digits && is_named(name + 8 + digits, ".png");
}

/* "checkpoint.safetensors.0123abcd.0.tmp", of a checkpoint that was not finished. */
static int is_checkpoint_part(const char *name) {
    size_t length = strlen(checkpoint_name);
    if (strncmp(name, checkpoint_name, length) != 0 || name[length] != '.') return 0;
    name += length + 1 + strspn(name + length + 1, "0123456789abcdef");
    if (*name != '.') return 0;
    name += 1 + strspn(name + 1, "0123456789");
    return !strcmp(name, ".tmp");
}

/* Of the files of a run: what one left that was killed while it wrote. */
static int is_left_over(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".part") || !strcmp(dot, ".tmp"));
}

static int is_of_run(const char *name) {
    static const char *const names[] = {settings_name, log_name, evaluation_name, "report.html"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_named(name, names[i])) return 1;
    return is_grid(name) || is_checkpoint_part(name) || !strncmp(name, "events.out.tfevents.", 20);
}

/* Calls visit for each file in a folder that a run writes, besides its checkpoint, until it returns
 * non-zero. */
static void visit_run(const char *folder,
                      int (*visit)(const char *folder, const char *name, void *user), void *user) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), stop = 0;
    for (int i = 0; i < count; i++) {
        if (!stop && is_of_run(entries[i]->d_name)) stop = visit(folder, entries[i]->d_name, user);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

/* ---- which folder ---- */

/* The checkpoint that --resume names, and the folder that it is in. */
static int find_checkpoint(session *s) {
    static char folder[OUTPUT_PATH_SIZE];
    struct stat is;
    const char *path = s->o->resume;
    if (stat(path, &is))
        return command_line_refuse(s->line, "--resume %s: %s", path, strerror(errno));
    int in_folder = S_ISDIR(is.st_mode);
    int length = in_folder
                     ? snprintf(s->checkpoint, sizeof s->checkpoint, "%s/%s", path, checkpoint_name)
                     : snprintf(s->checkpoint, sizeof s->checkpoint, "%s", path);
    if (length >= (int)sizeof s->checkpoint)
        return command_line_refuse(s->line, "--resume %s: %s", path, strerror(ENAMETOOLONG));
    const char *name = strrchr(s->checkpoint, '/');
    if (is_of_run(name ? name + 1 : s->checkpoint))
        return command_line_refuse(s->line,
                                   "--resume %s: that is no checkpoint; name the run's folder",
                                   path);
    if (in_folder && !folder_has(path, checkpoint_name))
        return command_line_refuse(s->line, "--resume %s: there is no %s in it", path,
                                   checkpoint_name);
    const char *slash = strrchr(s->checkpoint, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - s->checkpoint) : 1,
             slash ? s->checkpoint : ".");
    if (!s->o->out) s->o->out = *folder ? folder : "/";
    return 0;
}

/* runs/ and the name of the data, without the suffixes of an archive. */
static const char *usual_folder(const char *data, int distill_steps) {
    static char folder[OUTPUT_PATH_SIZE];
    size_t end = strlen(data);
    while (end > 1 && data[end - 1] == '/') end--;
    size_t begin = end;
    while (begin && data[begin - 1] != '/') begin--;
    const char *name = data + begin;
    size_t length = strcspn(name, ".");
    if (!length || length > end - begin) length = end - begin;
    /* "." and the like would be folders that exist. */
    if (strspn(name, "./") >= length) {
        name = "pictures";
        length = strlen(name);
    }
    if (distill_steps)
        snprintf(folder, sizeof folder, "runs/%.*s-%d", (int)length, name, distill_steps);
    else snprintf(folder, sizeof folder, "runs/%.*s", (int)length, name);
    return folder;
}

/* Of --to, which is not applied yet; 0 for a run without a teacher. */
static int distill_steps(const session *s) {
    const option *to = s->o->teacher ? command_line_option(s->line, "to") : NULL;
    const long steps = to && to->text ? strtol(to->text, NULL, 10) : 0;
    return steps > 0 && steps <= INT32_MAX ? (int)steps : 0;
}

/* ---- refusals ---- */

/* Finds a file whose loss would matter. A run that ended before its first samples and checkpoint
 * has none: its settings begin with a title, by which they are known. */
static int find_valuable(const char *folder, const char *name, void *user) {
    char path[OUTPUT_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, settings_name);
    if (is_left_over(name) || (is_settings(path) && !is_grid(name))) return 0;
    snprintf(user, FILENAME_SIZE, "%s", name);
    return 1;
}

/* The teacher's file must stay: a distillation cannot be resumed without it. */
static int replaces_teacher(const session *s, const char *checkpoint) {
    char inside[OUTPUT_PATH_SIZE];
    if (!s->o->teacher) return 0;
    snprintf(inside, sizeof inside, "%s/%s", s->o->teacher, checkpoint_name);
    return same_file(checkpoint, s->o->teacher) || same_file(checkpoint, inside);
}

static int refuse_used_folder(const session *s) {
    const char *out = s->o->out;
    char path[OUTPUT_PATH_SIZE], name[FILENAME_SIZE] = "", word[SHELL_WORD_SIZE];
    snprintf(path, sizeof path, "%s/%s", out, checkpoint_name);
    if (s->o->resume && same_file(path, s->checkpoint)) return 0;
    if (replaces_teacher(s, path))
        return command_line_refuse(s->line, "%s has the teacher: --out DIR puts the run elsewhere",
                                   out);
    if (s->o->force) return 0;
    if (folder_has(out, checkpoint_name))
        return command_line_refuse(s->line,
                                   "%s has a run already: --resume %s continues it, --out DIR "
                                   "puts the new one elsewhere, --force replaces it",
                                   out, shell_word(out, word));
    if (folder_has(out, replaced_name)) snprintf(name, sizeof name, "%s", replaced_name);
    else visit_run(out, find_valuable, name);
    return *name ? command_line_refuse(s->line,
                                       "%s has %s, which the run would replace: --out DIR puts the "
                                       "run elsewhere, --force replaces it",
                                       out, name)
                 : 0;
}

/* What is no folder, or cannot be written to, before any picture is read. */
static int refuse_folder(const session *s) {
    const char *out = s->o->out, *why = folder_obstacle(out);
    return why ? command_line_refuse(s->line, "--out is '%s'; %s", out, why) : 0;
}

static int lock_run(session *s) {
    if (s->lock) return 0;
    if (lock_folder(s->o->out, &s->lock))
        return command_line_refuse(s->line,
                                   "%s has a run that another process is training: end that first, "
                                   "or choose another folder by --out DIR",
                                   s->o->out);
    return 0;
}

int make_run_folder(session *s) {
    int locked = s->lock != 0;
    if (make_folder(s->line, s->o->out) || lock_run(s)) return REPORTED;
    return locked ? 0 : refuse_used_folder(s);
}

void unlock_run(session *s) {
    if (s->lock) close(s->lock);
    s->lock = 0;
}

int find_run(session *s) {
    char path[OUTPUT_PATH_SIZE];
    if (s->o->resume) {
        if (find_checkpoint(s)) return REPORTED;
        beside(s->checkpoint, settings_name, path);
        if (read_settings(s->line, path)) return REPORTED;
    }
    if (s->o->teacher && !s->o->resume && distill_steps(s) < 1)
        return command_line_refuse(s->line,
                                   "--to N is needed: the DDIM steps that the network learns "
                                   "to take, half of those of %s",
                                   s->o->teacher);
    if (!s->o->out) s->o->out = usual_folder(data_values.path, distill_steps(s));
    if (refuse_folder(s) || lock_run(s)) return REPORTED;
    return refuse_used_folder(s);
}

/* ---- replacing a run ---- */

static int remove_file(const char *folder, const char *name, void *user) {
    char path[OUTPUT_PATH_SIZE];
    (void)user;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path); /* what cannot be removed is replaced, or stays beside the new run */
    return 0;
}

static int remove_unfinished(const char *folder, const char *name, void *user) {
    return is_left_over(name) ? remove_file(folder, name, user) : 0;
}

/* Whether the run goes on in the folder of its checkpoint. */
static int stays(const session *s) {
    char folder[OUTPUT_PATH_SIZE];
    if (!s->o->resume) return 0;
    beside(s->checkpoint, "", folder);
    return same_file(*folder ? folder : ".", s->o->out);
}

int replace_run(session *s) {
    char path[OUTPUT_PATH_SIZE], kept[OUTPUT_PATH_SIZE];
    if (stays(s)) {
        visit_run(s->o->out, remove_unfinished, NULL);
        return 0;
    }
    path_in(s, checkpoint_name, path);
    path_in(s, replaced_name, kept);
    if (rename(path, kept) && errno != ENOENT)
        return command_line_refuse(s->line, "%s: %s", path, strerror(errno));
    s->replaced = folder_has(s->o->out, replaced_name); /* perhaps by a run that failed */
    visit_run(s->o->out, remove_file, NULL);
    return 0;
}

void drop_replaced(session *s) {
    char path[OUTPUT_PATH_SIZE];
    if (!s->replaced) return;
    path_in(s, replaced_name, path);
    (void)unlink(path); /* if it stays, no harm is done */
    s->replaced = 0;
}

void report_replaced(const session *s) {
    char path[OUTPUT_PATH_SIZE], text[OUTPUT_PATH_SIZE + 64];
    if (!s->replaced) return;
    path_in(s, replaced_name, path);
    snprintf(text, sizeof text, "the run has no checkpoint; that of the run before is %s", path);
    command_line_warn(s->line, text);
}
