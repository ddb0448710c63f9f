/* SPDX-License-Identifier: MIT */
/* See output.h. */
#include "console/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARTS_MAX = 100 };

/* Keeps the reason of the first failure. */
static int fail(output *o, int reason) {
    if (!o->error) o->error = reason ? reason : EIO;
    return 1;
}

int output_open(output *o, const char *path, const char *mode) {
    struct stat is;
    *o = (output){.appended_at = -1};
    if (snprintf(o->path, sizeof o->path, "%s", path) >= (int)sizeof o->path)
        return fail(o, ENAMETOOLONG);
    o->file = fopen(path, mode);
    if (!o->file) return fail(o, errno);
    if (*mode == 'a' && !fstat(fileno(o->file), &is) && S_ISREG(is.st_mode))
        o->appended_at = (long long)is.st_size;
    return 0;
}

int output_print(output *o, const char *format, ...) {
    va_list arguments;
    if (o->error) return 1;
    va_start(arguments, format);
    int length = vfprintf(o->file, format, arguments);
    int reason = errno;
    va_end(arguments);
    return length < 0 ? fail(o, reason) : 0;
}

int output_write(output *o, const void *bytes, size_t size) {
    if (o->error) return 1;
    return fwrite(bytes, 1, size, o->file) == size ? 0 : fail(o, errno);
}

int output_flush(output *o) {
    if (o->error) return 1;
    return fflush(o->file) ? fail(o, errno) : 0;
}

int output_sync(output *o) {
    if (output_flush(o)) return 1;
    /* Some files cannot be synced, such as pipes. */
    if (fsync(fileno(o->file)) && errno != EINVAL && errno != EROFS) return fail(o, errno);
    return 0;
}

/* Opens TARGET.N.part for the lowest N that is free. */
static int open_part(output *o, const char *mode) {
    char exclusive[8];
    snprintf(exclusive, sizeof exclusive, "%sx", mode);
    for (int i = 0; i < PARTS_MAX; i++) {
        if (snprintf(o->path, sizeof o->path, "%s.%d.part", o->target, i) >= (int)sizeof o->path)
            return fail(o, ENAMETOOLONG);
        o->file = fopen(o->path, exclusive);
        if (o->file) return 0;
        if (errno != EEXIST) break;
    }
    int reason = errno;
    snprintf(o->path, sizeof o->path, "%s", o->target); /* for the message */
    return fail(o, reason);
}

int output_begin(output *o, const char *path, const char *mode) {
    struct stat is;
    int exists = !stat(path, &is);
    if (exists && !S_ISREG(is.st_mode) && !S_ISDIR(is.st_mode)) return output_open(o, path, mode);
    char *target = exists ? realpath(path, NULL) : NULL;
    *o = (output){.appended_at = -1};
    int length = snprintf(o->target, sizeof o->target, "%s", target ? target : path);
    free(target);
    if (length >= (int)sizeof o->target) return fail(o, ENAMETOOLONG);
    if (open_part(o, mode)) return 1;
    if (exists) (void)fchmod(fileno(o->file), is.st_mode & 0777); /* else it has the usual mode */
    return 0;
}

int output_replace(output *o) {
    int bad = output_sync(o);
    if (!*o->target) return bad;
    if (!bad && rename(o->path, o->target)) bad = fail(o, errno);
    if (bad && o->file) (void)remove(o->path); /* if it fails, the file is left: no harm */
    snprintf(o->path, sizeof o->path, "%s", o->target);
    *o->target = 0;
    return bad;
}

void output_give_up(output *o) {
    if (o->file) (void)fclose(o->file); /* which is not needed any more */
    o->file = NULL;
    if (*o->target) (void)remove(o->path); /* if it fails, an unfinished file is left */
}

int output_failed(const output *o) { return o->error != 0; }

/* Lets the buffer go nowhere, or fclose would try again to write what is left. */
static void discard(FILE *file) {
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0) return;
    dup2(nowhere, fileno(file));
    close(nowhere);
}

int output_close(output *o, const char *program) {
    if (o->file) {
        output_flush(o);
        if (o->error && o->appended_at >= 0 && ftruncate(fileno(o->file), (off_t)o->appended_at))
            fprintf(stderr, "%s: %s: an incomplete row is left at its end\n", program, o->path);
        if (o->error) discard(o->file);
        if (fclose(o->file)) fail(o, errno);
        o->file = NULL;
    }
    if (!o->error) return 0;
    fprintf(stderr, "%s: %s: %s\n", program, o->path, strerror(o->error));
    return 1;
}

/* ---- standard streams ---- */

/* Bytes of the character at `text`; 0 for one that is not printed. */
static int character_bytes(const unsigned char *text) {
    const unsigned char c = text[0];
    const int bytes = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (bytes == 1) return c >= 32 && c != 127;
    /* Control characters; longer forms than needed, surrogates, and what is above U+10FFFF. */
    const unsigned char next = c < 0x80 ? 0 : text[1];
    if ((c == 0xC2 && next < 0xA0) || (c == 0xE0 && next < 0xA0) || (c == 0xED && next >= 0xA0) ||
        (c == 0xF0 && next < 0x90) || (c == 0xF4 && next >= 0x90))
        return 0;
    for (int i = 1; i < bytes; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    return bytes;
}

const char *shell_word(const char *text, char word[SHELL_WORD_SIZE]) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./+-@:,%=";
    size_t used = 0;
    if (*text && !text[strspn(text, plain)]) return text;
    word[used++] = '\'';
    for (const char *c = text; *c; c++) {
        if (used + 6 > SHELL_WORD_SIZE) return text;
        if (*c == '\'') used += (size_t)sprintf(word + used, "'\\'");
        word[used++] = *c;
    }
    word[used++] = '\'';
    word[used] = 0;
    return word;
}

int is_printable(const char *text) {
    while (*text) {
        const int bytes = character_bytes((const unsigned char *)text);
        if (!bytes) return 0;
        text += bytes;
    }
    return 1;
}

void print_foreign(FILE *to, const char *text) {
    while (*text) {
        const int bytes = character_bytes((const unsigned char *)text);
        if (!bytes) putc('?', to);
        for (int i = 0; i < bytes; i++) putc(text[i], to);
        text += bytes ? bytes : 1;
    }
}

static const char *program_name;
static int flush_reason; /* why standard output could not be flushed, or 0 */

void flush_standard_output(void) {
    if (fflush(stdout) && !flush_reason) flush_reason = errno;
}

static void close_standard_output(void) {
    flush_standard_output();
    int bad = ferror(stdout);
    if (fclose(stdout) && !flush_reason) flush_reason = errno;
    if (!bad && !flush_reason) return;
    fprintf(stderr, "%s: standard output: %s\n", program_name,
            flush_reason ? strerror(flush_reason) : "a write failed");
    _exit(1);
}

void open_standard_streams(const char *program) {
    program_name = program;
    /* open() returns the lowest descriptor that is free. */
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", O_RDWR) != i) _exit(1);
    if (atexit(close_standard_output)) {
        fprintf(stderr, "%s: out of memory\n", program);
        _exit(1);
    }
}

void ignore_write_signals(void) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

void write_from_handler(const char *line) {
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
    (void)ignored;
}
