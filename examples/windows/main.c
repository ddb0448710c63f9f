/* SPDX-License-Identifier: MIT */
/* The program's entry on Windows: calls its main with the arguments in UTF-8, prints UTF-8 with the
 * same bytes as elsewhere, and has the console obey escape sequences. */
#include "posix.h"

#include <windows.h>

#include <shellapi.h> /* after it */

/* Of the console before. */
static UINT code_page;
static DWORD output_mode, error_mode;

static void restore_console(void) {
    SetConsoleOutputCP(code_page);
    SetConsoleMode(GetStdHandle(STD_OUTPUT_HANDLE), output_mode);
    SetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), error_mode);
}

static void set_mode(DWORD which, DWORD *before) {
    HANDLE stream = GetStdHandle(which);
    if (GetConsoleMode(stream, before))
        SetConsoleMode(stream, *before | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

static void prepare_console(void) {
    code_page = GetConsoleOutputCP();
    if (!code_page || atexit(restore_console)) return;
    SetConsoleOutputCP(CP_UTF8);
    set_mode(STD_OUTPUT_HANDLE, &output_mode);
    set_mode(STD_ERROR_HANDLE, &error_mode);
}

#undef main
int main(void) {
    int argc = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &argc);
    const char **argv = calloc((size_t)argc + 1, sizeof *argv);
    for (int i = 0; wide && argv && i < argc; i++) {
        const int size = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        char *text = malloc((size_t)size + 1);
        if (!text || !WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, text, size, NULL, NULL)) {
            fprintf(stderr, "the command line cannot be read\n");
            return 1;
        }
        argv[i] = text; /* to the end of the process */
    }
    if (!wide || !argv) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    LocalFree(wide);
    prepare_console();
    _setmode(STDOUT_FILENO, _O_BINARY);
    _setmode(STDERR_FILENO, _O_BINARY);
    return windows_main(argc, argv);
}
