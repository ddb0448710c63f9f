/* SPDX-License-Identifier: MIT */
/* Processes on pipes. Each leads a process group of its own, so that its children end with it. */
#include "coprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/host.h"
#include "base/system.h"

enum { PROCESSES_MAX = 16, TIMEOUT_S = 1200 }; /* torch.compile takes minutes */

/* For the signal handler: the process groups that run; free entries are 0. */
static volatile pid_t groups[PROCESSES_MAX];

static void on_signal(int number) {
    for (int i = 0; i < PROCESSES_MAX; i++) {
        if (groups[i]) kill(-groups[i], SIGKILL);
    }
    signal(number, SIG_DFL);
    raise(number);
}

void coprocess_guard(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Replaces one entry of `groups`. */
static void replace_group(pid_t old, pid_t pid) {
    for (int i = 0; i < PROCESSES_MAX; i++) {
        if (groups[i] != old) continue;
        groups[i] = pid;
        return;
    }
}

bool coprocess_running(const coprocess *p) { return p->pid != 0; }

/* Closes its pipes and waits for its end, at most two seconds unless `force`; then kills its group.
 * Returns its wait status. */
static int reap(coprocess *p, bool force) {
    int status = 0;
    close(p->to);
    close(p->from);
    for (int i = 0; i < 100 && !force && waitpid(p->pid, &status, WNOHANG) == 0; i++) {
        if (i == 99) force = true;
        usleep(20000);
    }
    kill(-p->pid, SIGKILL); /* and its children */
    if (force) waitpid(p->pid, &status, 0);
    replace_group(p->pid, 0);
    p->pid = 0;
    return status;
}

void coprocess_stop(coprocess *p) {
    if (p->pid) reap(p, false);
}

/* The last line of its log that is not empty: the error, for Python. */
static void last_log_line(const coprocess *p, char text[256]) {
    char line[256];
    text[0] = 0;
    FILE *log = p->log ? fopen(p->log, "r") : NULL;
    while (log && fgets(line, sizeof line, log)) {
        line[strcspn(line, "\n")] = 0;
        if (line[strspn(line, " ")]) memcpy(text, line, sizeof line);
    }
    if (log) fclose(log);
}

/* Prints why the process is given up and reaps it. `ended`: it ended by itself, and its status is
 * printed too. */
static void give_up(coprocess *p, const char *why, bool ended) {
    char words[256];
    if (!p->pid) return;
    int status = reap(p, !ended);
    last_log_line(p, words);
    fprintf(stderr, "bench: %s: %s", p->name, why);
    if (ended && WIFSIGNALED(status)) fprintf(stderr, " by signal %d", WTERMSIG(status));
    if (ended && WIFEXITED(status)) fprintf(stderr, " with status %d", WEXITSTATUS(status));
    if (*words) fprintf(stderr, ": %s (more in %s)", words, p->log);
    fputc('\n', stderr);
}

/* Reads the next line, without its end; false after giving up. */
static bool read_line(coprocess *p, char line[sizeof(((coprocess *)0)->text)]) {
    double start = dmi_seconds();
    for (;;) {
        char *end = memchr(p->text, '\n', p->used);
        if (end) {
            size_t length = (size_t)(end - p->text);
            memcpy(line, p->text, length);
            line[length] = 0;
            p->used -= length + 1;
            memmove(p->text, end + 1, p->used);
            return true;
        }
        if (p->used == sizeof p->text)
            return give_up(p, "wrote a line that is too long", false), false;
        struct pollfd wait = {.fd = p->from, .events = POLLIN};
        int left = (int)(1000 * (TIMEOUT_S - (dmi_seconds() - start)));
        int ready = left > 0 ? poll(&wait, 1, left) : 0;
        if (ready == 0) return give_up(p, "did not respond in time", false), false;
        if (ready < 0 && errno == EINTR) continue;
        ssize_t got = read(p->from, p->text + p->used, sizeof p->text - p->used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return give_up(p, "ended", true), false;
        p->used += (size_t)got;
    }
}

/* The next line that is a JSON object; other lines, which a library may print, are skipped. */
static json_t *read_response(coprocess *p) {
    char line[sizeof p->text];
    while (read_line(p, line)) {
        json_t *root = json_loads(line, 0, NULL);
        const char *error = json_string_value(json_object_get(root, "error"));
        if (error) {
            give_up(p, error, false);
            json_decref(root);
            return NULL;
        }
        if (json_is_object(root)) return root;
        json_decref(root);
    }
    return NULL;
}

static void run_child(char *const argv[], const int in[2], const int out[2], const char *log) {
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int errors = log ? open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0) _exit(126);
    if (errors >= 0) dup2(errors, STDERR_FILENO);
    execvp(argv[0], argv);
    fprintf(stderr, "bench: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

json_t *coprocess_start(coprocess *p, const char *name, char *const argv[], const char *log,
                        double *seconds) {
    int in[2], out[2];
    sigset_t all, before;
    memset(p, 0, sizeof *p);
    p->name = name;
    p->log = log;
    if (pipe2(in, O_CLOEXEC)) goto failed;
    if (pipe2(out, O_CLOEXEC)) {
        close(in[0]);
        close(in[1]);
        goto failed;
    }
    fflush(NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* until `groups` has it */
    double start = dmi_seconds();
    p->pid = fork();
    if (p->pid == 0) run_child(argv, in, out, log);
    int error = errno;
    if (p->pid > 0) {
        setpgid(p->pid, p->pid);
        replace_group(0, p->pid);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(in[0]);
    close(out[1]);
    p->to = in[1];
    p->from = out[0];
    if (p->pid < 0) {
        p->pid = 0;
        close(p->to);
        close(p->from);
        errno = error;
        goto failed;
    }
    json_t *ready = read_response(p);
    *seconds = dmi_seconds() - start;
    return ready;

failed:
    fprintf(stderr, "bench: %s: %s\n", name, strerror(errno));
    return NULL;
}

double coprocess_request(coprocess *p, const char *request, const char *key) {
    if (!p->pid) return -1;
    char line[256];
    int length = snprintf(line, sizeof line, "%s\n", request);
    if (write(p->to, line, (size_t)length) != length) {
        give_up(p, "ended", true);
        return -1;
    }
    json_t *root = read_response(p);
    json_t *value = json_object_get(root, key);
    double number = json_is_number(value) ? json_number_value(value) : -1;
    if (root && number < 0) give_up(p, "gave no number", false);
    json_decref(root);
    return number;
}
