/* SPDX-License-Identifier: MIT */
/* Text files and standard output, every write of which is checked. Functions return 0, or 1 if
 * something failed. Messages on standard error are not checked: there is nowhere to report that. */
#ifndef DIFFUSION_OUTPUT_H
#define DIFFUSION_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

enum { OUTPUT_PATH_SIZE = 1200, SHELL_WORD_SIZE = OUTPUT_PATH_SIZE + 100 };

/* A text file that is being written. The first failure is kept until output_close reports it, and
 * nothing is written after it. */
typedef struct output {
    FILE *file;                    /* NULL if it could not be opened */
    char path[OUTPUT_PATH_SIZE];   /* that is written */
    char target[OUTPUT_PATH_SIZE]; /* of output_begin, until the file is there; else "" */
    long long appended_at;         /* the size before, of a file that is appended to, else -1 */
    int error;                     /* errno of the first failure, or 0 */
} output;

/* mode: "w" or "a". A row that could not be appended completely is removed by output_close. */
int output_open(output *o, const char *path, const char *mode);
/* Prints into the file's buffer. */
__attribute__((format(printf, 2, 3))) int output_print(output *o, const char *format, ...);
/* Writes bytes into the file's buffer. */
int output_write(output *o, const void *bytes, size_t size);
/* Hands the buffer to the operating system. */
int output_flush(output *o);
/* Flushes, and waits until the file is stored. */
int output_sync(output *o);
/* Opens a new file beside `path`, NAME.0.part or with a higher number, which output_replace renames
 * to `path`. A link to a file is followed, and what is no regular file (a pipe, a terminal) is
 * opened itself. mode: "w" or "wb". */
int output_begin(output *o, const char *path, const char *mode);
/* Syncs and renames such a file, to which more can be printed. On failure it is removed, and what
 * was there before stays. */
int output_replace(output *o);
/* Closes and removes such a file, without a message. */
void output_give_up(output *o);
/* Whether a write failed. */
int output_failed(const output *o);
/* Closes the file. 1 after printing the path and the reason of the first failure; `program` is the
 * name that starts the message. A file that was never opened, all zero, is no failure. */
int output_close(output *o, const char *program);

/* To be called before anything else opens a file. Opens /dev/null for each of the descriptors 0 to
 * 2 that is closed, so that no file gets a descriptor to which messages are printed; and has
 * standard output checked at exit: if not all of it was written, the program ends with status 1 and
 * a message. */
void open_standard_streams(const char *program);
/* A text as a word of a shell's command, in quotes where it needs them; a long one as it is. */
const char *shell_word(const char *text, char word[SHELL_WORD_SIZE]);
/* Whether a text is UTF-8 without control characters. */
int is_printable(const char *text);
/* Prints UTF-8 from a file or a name of anyone's, with '?' for control characters, which a terminal
 * would obey, and for bytes that are no UTF-8. */
void print_foreign(FILE *to, const char *text);
/* Flushes standard output; a failure is reported at exit. */
void flush_standard_output(void);
/* From here on, a reader that ends (SIGPIPE) and a limit on the size of files (SIGXFSZ) make a
 * write fail instead of ending the program before it has saved. Until then, as for --help, they end
 * it. */
void ignore_write_signals(void);
/* Writes a line to standard error; may be called by a signal handler. */
void write_from_handler(const char *line);

#endif
