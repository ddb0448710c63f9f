/* SPDX-License-Identifier: MIT */
/* The folder of a run: which one it is, that no run replaces another, and what --force removes. */
#include "train/run_folder.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/files.h"

#include "program/lines.h"
#include "program/report_files.h"
#include "train/settings.h"

static given_line g;
static session s;

/* Returns what was printed, to be freed. */
static char *find(const char *name, const char *words, int want) {
    unlock_run(&s);
    forget_settings(&g);
    accept_line(&g, name, words);
    s = (session){.line = &g.line, .o = &train_values};
    if (g.line.word_count && !strcmp(name, "train")) data_values.path = g.line.words[0];
    if (!strcmp(name, "distill")) {
        train_values.teacher = g.line.words[0];
        train_values.trainer.distill_steps = 8;
    }
    capture err = capture_begin(stderr);
    const int got = find_run(&s);
    char *message = capture_end(&err);
    ck_assert_msg(got == want, "%s: %s", words, message);
    return message;
}

static void in_empty_folder(void) { ck_assert_int_eq(chdir(test_folder()), 0); }

START_TEST(usual_names) {
    static const char *const cases[][2] = {{"photos", "runs/photos"},
                                           {"/a/b/photos///", "runs/photos"},
                                           {"a/cifar-10-binary.tar.gz", "runs/cifar-10-binary"},
                                           {".photos", "runs/.photos"},
                                           {".", "runs/pictures"},
                                           {"..", "runs/pictures"},
                                           {"a/../", "runs/pictures"},
                                           {"/", "runs/pictures"},
                                           {"", "runs/builtin"},
                                           {"a --out b", "b"}};
    in_empty_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        free(find("train", cases[i][0], 0));
        ck_assert_str_eq(s.o->out, cases[i][1]);
        ck_assert_str_eq(s.checkpoint, "");
    }
    free(find("distill", "teacher --data photos --to 8", 0));
    ck_assert_str_eq(s.o->out, "runs/photos-8");
}
END_TEST

static void make_run(const char *folder) {
    ck_assert(!mkdir(folder, 0777) || errno == EEXIST);
    write_text(test_path(folder, checkpoint_name), "x");
    write_text(test_path(folder, settings_name), "data=elsewhere\n");
}

START_TEST(no_run_replaces_another) {
    in_empty_folder();
    ck_assert_int_eq(mkdir("runs", 0777), 0);
    ck_assert_int_eq(mkdir("runs/photos", 0777), 0);
    write_text("runs/photos/notes.txt", "mine");
    free(find("train", "photos", 0)); /* a folder without a checkpoint */
    make_run("runs/photos");
    char *message = find("train", "photos", REPORTED);
    ck_assert_ptr_nonnull(strstr(message, "runs/photos has a run already: --resume runs/photos"));
    free(message);
    free(find("train", "photos --force", 0));
    free(find("train", "photos --out b", 0));
    /* A resumed run goes on in its own folder, however that is written, and in no other one's. */
    free(find("train", "--resume runs/photos --out runs/../runs/photos/", 0));
    make_run("b");
    free(find("train", "--resume runs/photos --out b", REPORTED));
    free(find("train", "--resume runs/photos --out b --force", 0));
    forget_settings(&g);
}
END_TEST

START_TEST(resumed_runs) {
    static const char *const cases[][3] = {
        {"--resume r", "r", "r/checkpoint.safetensors"},
        {"--resume r/", "r/", "r//checkpoint.safetensors"},
        {"--resume r/checkpoint.safetensors", "r", "r/checkpoint.safetensors"},
        {"--resume r --out o", "o", "r/checkpoint.safetensors"},
    };
    in_empty_folder();
    make_run("r");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        free(find("train", cases[i][0], 0));
        ck_assert_str_eq(s.o->out, cases[i][1]);
        ck_assert_str_eq(s.checkpoint, cases[i][2]);
        ck_assert_str_eq(data_values.path, "elsewhere");
    }
    free(find("train", "--resume r --data here", 0));
    ck_assert_str_eq(data_values.path, "here");
    ck_assert_int_eq(chdir("r"), 0);
    free(find("train", "--resume checkpoint.safetensors", 0));
    ck_assert_str_eq(s.o->out, ".");
    char *message = find("train", "--resume none", REPORTED);
    test_has_reason(message, "--resume none: ", ENOENT);
    free(message);
    ck_assert_int_eq(mkdir("empty", 0777), 0);
    message = find("train", "--resume empty", REPORTED);
    ck_assert_ptr_nonnull(strstr(message, "there is no checkpoint.safetensors in it"));
    free(message);
    forget_settings(&g);
}
END_TEST

START_TEST(names_beside) {
    char path[OUTPUT_PATH_SIZE];
    beside("a/b/c.txt", "d", path);
    ck_assert_str_eq(path, "a/b/d");
    beside("c.txt", "d", path);
    ck_assert_str_eq(path, "d");
    beside("/c.txt", "d", path);
    ck_assert_str_eq(path, "/d");
}
END_TEST

START_TEST(replaced_files) {
    static const char *const own[] = {"checkpoint.safetensors",
                                      "settings.txt",
                                      "loss.csv",
                                      "evaluation.csv",
                                      "report.html",
                                      "report.html.0.part",
                                      "samples-000100.png",
                                      "samples-1234567.png",
                                      "events.out.tfevents.1.x",
                                      "samples-000100.png.0.part",
                                      "checkpoint.safetensors.0123abcd.2.tmp"},
                             *const others[] = {"notes.txt",
                                                "samples-of-mine.png",
                                                "samples-000100.png.txt",
                                                "samples-.png",
                                                "report.html.part",
                                                "loss.csv.0",
                                                "a.png",
                                                "checkpoint.safetensors.tmp"};
    struct stat is;
    char *folder = test_folder_new();
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        write_text(test_path(folder, own[i]), "x");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        write_text(test_path(folder, others[i]), "x");
    train_options o = {.out = folder};
    s = (session){.o = &o};
    ck_assert_int_eq(replace_run(&s), 0);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        ck_assert_msg(stat(test_path(folder, own[i]), &is) != 0, "%s", own[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(stat(test_path(folder, others[i]), &is) == 0, "%s", others[i]);
    /* The weights stay until there are new ones. */
    ck_assert_int_eq(stat(test_path(folder, "checkpoint.replaced.safetensors"), &is), 0);
    drop_replaced(&s);
    ck_assert_int_ne(stat(test_path(folder, "checkpoint.replaced.safetensors"), &is), 0);
    o.out = test_path(folder, "none");
    ck_assert_int_eq(replace_run(&s), 0);
    free(folder);
}
END_TEST

/* A resumed run removes what it left when it was killed, and nothing else. */
START_TEST(unfinished_files) {
    static const char *const unfinished[] = {"report.html.0.part", "samples-000100.png.1.part",
                                             "checkpoint.safetensors.0123abcd.2.tmp"},
                             *const finished[] = {"report.html", "samples-000100.png", "a.part",
                                                  "checkpoint.safetensors"};
    in_empty_folder();
    make_run("r");
    for (size_t i = 0; i < sizeof unfinished / sizeof *unfinished; i++)
        write_text(test_path("r", unfinished[i]), "x");
    for (size_t i = 0; i < sizeof finished / sizeof *finished; i++)
        write_text(test_path("r", finished[i]), "x");
    free(find("train", "--resume r", 0));
    ck_assert_int_eq(replace_run(&s), 0);
    for (size_t i = 0; i < sizeof unfinished / sizeof *unfinished; i++)
        ck_assert_msg(!folder_has("r", unfinished[i]), "%s", unfinished[i]);
    for (size_t i = 0; i < sizeof finished / sizeof *finished; i++)
        ck_assert_msg(folder_has("r", finished[i]), "%s", finished[i]);
    forget_settings(&g);
}
END_TEST

/* Without a checkpoint, files of a run or of the user's own stay, but for what a run leaves that
 * ended before its first samples. */
START_TEST(files_without_a_checkpoint) {
    in_empty_folder();
    ck_assert_int_eq(mkdir("own", 0777), 0);
    write_text("own/report.html", "mine");
    char *message = find("train", "--out own", REPORTED);
    ck_assert_ptr_nonnull(strstr(message, "own has report.html, which the run would replace"));
    free(message);
    free(find("train", "--out own --force", 0));
    ck_assert_int_eq(mkdir("killed", 0777), 0);
    write_text("killed/settings.txt.0.part", "x");
    free(find("train", "--out killed", 0));
    write_text("own/settings.txt", "mine");
    free(find("train", "--out own", REPORTED));
    ck_assert_int_eq(write_settings(&g.line, "own/settings.txt"), 0);
    free(find("train", "--out own", 0));
    write_text("own/samples-000500.png", "x");
    message = find("train", "--out own", REPORTED);
    ck_assert_ptr_nonnull(strstr(message, "own has samples-000500.png"));
    free(message);
    forget_settings(&g);
}
END_TEST

/* A run that was not there when the folder was looked at, but is when it is made. */
START_TEST(a_run_that_came_between) {
    in_empty_folder();
    free(find("train", "photos --out late", 0));
    ck_assert_int_eq(s.lock, 0);
    make_run("late");
    capture err = capture_begin(stderr);
    ck_assert_int_eq(make_run_folder(&s), REPORTED);
    char *message = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(message, "late has a run already"));
    free(message);
    free(find("train", "photos --out other", 0));
    ck_assert_int_eq(make_run_folder(&s), 0);
#ifndef _WIN32 /* where there are no such locks */
    ck_assert_int_gt(s.lock, 2);
#endif
    forget_settings(&g);
}
END_TEST

/* The replaced checkpoint is found again after a run that saved none. */
START_TEST(kept_checkpoints) {
    in_empty_folder();
    make_run("r");
    free(find("train", "photos --out r --force", 0));
    ck_assert_int_eq(replace_run(&s), 0);
    capture err = capture_begin(stderr);
    report_replaced(&s);
    char *message = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(message, "is r/checkpoint.replaced.safetensors"));
    free(message);
    free(find("train", "photos --out r", REPORTED));
    free(find("train", "photos --out r --force", 0)); /* the next run */
    ck_assert(replace_run(&s) == 0 && s.replaced);
    drop_replaced(&s);
    ck_assert(!folder_has("r", "checkpoint.replaced.safetensors"));
    err = capture_begin(stderr);
    report_replaced(&s);
    message = capture_end(&err);
    ck_assert_str_eq(message, "");
    free(message);
    forget_settings(&g);
}
END_TEST

/* Before any picture is read. */
START_TEST(impossible_folders) {
    static const char *const cases[][2] = {
        {"--out file", "that is no folder"},
        {"--out file/below", "--out is 'file/below'; "},
#ifndef _WIN32
        {"--out dangling", "that is a link to nothing"},
        {"--out dangling/", "that is a link to nothing"},
        {"--out dangling/below", "that is a link to nothing"},
#endif
    };
    in_empty_folder();
    write_text("file", "x");
#ifndef _WIN32
    ck_assert_int_eq(symlink("nothing", "dangling"), 0);
#endif
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *message = find("train", cases[i][0], REPORTED);
        ck_assert_msg(strstr(message, cases[i][1]) != NULL, "%s", message);
        free(message);
    }
    free(find("train", "--out a/b/c", 0));
    forget_settings(&g);
}
END_TEST

#ifndef _WIN32
/* A folder in which another process trains is refused, with --resume and --force too. */
START_TEST(two_runs_in_a_folder) {
    static const char *const cases[] = {"--resume r", "--out r --force", "--resume r --out ./r"};
    int lock = 0, again = 0;
    in_empty_folder();
    make_run("r");
    ck_assert(!lock_folder("r", &lock) && lock > 2);
    ck_assert(lock_folder("r", &again) && !again);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *message = find("train", cases[i], REPORTED);
        ck_assert_ptr_nonnull(strstr(message, "r has a run that another process is training"));
        free(message);
    }
    close(lock);
    free(find("train", "--resume r", 0));
    unlock_run(&s);
    ck_assert(!lock_folder("none", &lock) && !lock);
    forget_settings(&g);
}
END_TEST
#endif

START_TEST(a_teacher_stays) {
    in_empty_folder();
    make_run("t");
    free(find("distill", "t --to 4 --out t --force", REPORTED));
    char *message = find("distill", "t/checkpoint.safetensors --to 4 --out ./t --force", REPORTED);
    ck_assert_ptr_nonnull(strstr(message, "./t has the teacher"));
    free(message);
    message = find("distill", "t --out o", REPORTED);
    ck_assert_ptr_nonnull(strstr(message, "--to N is needed"));
    free(message);
    free(find("distill", "t --to 4 --out o", 0));
    forget_settings(&g);
}
END_TEST

Suite *test_run_folder_suite(void);
Suite *test_run_folder_suite(void) {
    Suite *suite = suite_create("run_folder");
    TCase *tests = tcase_create("run_folder");
    tcase_add_test(tests, usual_names);
    tcase_add_test(tests, no_run_replaces_another);
    tcase_add_test(tests, resumed_runs);
    tcase_add_test(tests, names_beside);
    tcase_add_test(tests, replaced_files);
    tcase_add_test(tests, unfinished_files);
    tcase_add_test(tests, files_without_a_checkpoint);
    tcase_add_test(tests, a_run_that_came_between);
    tcase_add_test(tests, kept_checkpoints);
    tcase_add_test(tests, impossible_folders);
#ifndef _WIN32
    tcase_add_test(tests, two_runs_in_a_folder);
#endif
    tcase_add_test(tests, a_teacher_stays);
    suite_add_tcase(suite, tests);
    return suite;
}
