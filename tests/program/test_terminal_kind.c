/* SPDX-License-Identifier: MIT */
/* Which kind of pictures a terminal gets, on a pseudoterminal that answers or does not, and the
 * pictures in sixels. Without libsixel in the program, terminals with sixels get blocks. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "console/terminal_formats.h"
#include "console/terminal_picture.h"
#include "support/support.h"

static const char *const variables[] = {
    "TERM",     "COLORTERM", "TERM_PROGRAM", "KITTY_WINDOW_ID", "KONSOLE_VERSION",
    "NO_COLOR", "TMUX",      "STY"};

/* settings: "TERM=xterm COLORTERM=24bit". */
static void set_environment(const char *settings) {
    char copy[256], *rest = copy;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        char *value = strchr(word, '=');
        *value++ = 0;
        setenv(word, value, 1);
    }
}

/* In a new session whose terminal is `slave`. */
static void child(const char *slave, const char *settings) {
    const int terminal = setsid() < 0 ? -1 : open(slave, O_RDWR);
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0 || dup2(terminal, STDOUT_FILENO) < 0)
        _exit(100);
    set_environment(settings);
    _exit((int)terminal_picture_kind());
}

/* What a terminal with these variables gets that answers a question with `answer`, unless NULL.
 * *asked: whether there was a question. */
static terminal_kind kind_of(const char *settings, const char *answer, int *asked) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    struct termios before = {0}, after = {0}; /* the C library may leave parts alone */
    int status;
    ck_assert(master >= 0 && !grantpt(master) && !unlockpt(master));
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY); /* keeps the settings */
    ck_assert(slave >= 0 && !tcgetattr(slave, &before));
    *asked = 0;
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) child(ptsname(master), settings);
    for (pid_t ended = 0; !ended; ended = waitpid(pid, &status, WNOHANG)) {
        char text[64] = "";
        struct pollfd ready = {.fd = master, .events = POLLIN};
        if (poll(&ready, 1, 10) <= 0 || read(master, text, sizeof text - 1) <= 0) continue;
        if (!strstr(text, "\033[c")) continue;
        *asked = 1;
        if (answer)
            ck_assert_int_eq(write(master, answer, strlen(answer)), (ssize_t)strlen(answer));
    }
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 100);
    ck_assert_int_eq(tcgetattr(slave, &after), 0);
    ck_assert(before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag &&
              !memcmp(before.c_cc, after.c_cc, sizeof before.c_cc));
    close(slave);
    close(master);
    return (terminal_kind)WEXITSTATUS(status);
}

static int has_libsixel(void) {
    terminal_pixels p = {.rgb = (uint8_t[]){1, 2, 3}, .height = 1, .width = 1};
    char error[256];
    FILE *nowhere = fopen("/dev/null", "w");
    ck_assert_ptr_nonnull(nowhere);
    const int bad = terminal_print_sixel(nowhere, &p, error, sizeof error);
    (void)fclose(nowhere);
    return !bad;
}

START_TEST(by_variables) {
    static const struct {
        const char *settings;
        terminal_kind kind;
    } cases[] = {{"TERM=xterm-kitty", TERMINAL_KITTY},
                 {"TERM=xterm KITTY_WINDOW_ID=1", TERMINAL_KITTY},
                 {"TERM=xterm-ghostty", TERMINAL_KITTY},
                 {"TERM=xterm-256color TERM_PROGRAM=WezTerm", TERMINAL_KITTY},
                 {"TERM=xterm-256color KONSOLE_VERSION=230805", TERMINAL_KITTY},
                 {"TERM=xterm-256color KONSOLE_VERSION=210800", TERMINAL_BLOCKS},
                 {"TERM=xterm-256color TERM_PROGRAM=iTerm.app", TERMINAL_ITERM},
                 {"TERM=tmux-256color KITTY_WINDOW_ID=1 TMUX=x", TERMINAL_BLOCKS},
                 {"TERM=xterm COLORTERM=truecolor", TERMINAL_BLOCKS},
                 {"TERM=xterm-256color", TERMINAL_BLOCKS},
                 {"TERM=vt100", TERMINAL_NONE},
                 {"TERM=dumb KITTY_WINDOW_ID=1", TERMINAL_NONE},
                 {"TERM=xterm-kitty NO_COLOR=1", TERMINAL_NONE},
                 {"COLORTERM=truecolor", TERMINAL_NONE}};
    int asked;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(kind_of(cases[i].settings, "\033[?1;2c", &asked) == cases[i].kind, "%s",
                      cases[i].settings);
}
END_TEST

START_TEST(by_answer) {
    static const struct {
        const char *answer;
        int sixel;
    } cases[] = {{"\033[?62;4;6c", 1},
                 {"\033[?62;22;4c", 1},
                 {"typed\033[?63;1;2;4c", 1},
                 {"\033[?62;22;44c", 0},
                 {"\033[?4c", 0},
                 {"\033[?6;14c", 0},
                 {"4", 0},
                 {"\033[?62;4", 0},
                 {NULL, 0}};
    const int built = has_libsixel();
    int asked;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const terminal_kind got = kind_of("TERM=xterm-256color", cases[i].answer, &asked);
        ck_assert_int_eq(asked, built);
        ck_assert_msg(got == (built && cases[i].sixel ? TERMINAL_SIXEL : TERMINAL_BLOCKS), "%zu",
                      i);
    }
}
END_TEST

START_TEST(no_terminal) {
    FILE *file = tmpfile();
    ck_assert(file && dup2(fileno(file), STDOUT_FILENO) >= 0);
    set_environment("TERM=xterm-kitty");
    ck_assert_int_eq(terminal_picture_kind(), TERMINAL_NONE);
    (void)fclose(file);
}
END_TEST

Suite *test_terminal_kind_suite(void);
Suite *test_terminal_kind_suite(void) {
    Suite *suite = suite_create("terminal_kind");
    TCase *tests = tcase_create("terminal_kind");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, by_variables);
    tcase_add_test(tests, by_answer);
    tcase_add_test(tests, no_terminal);
    suite_add_tcase(suite, tests);
    return suite;
}
