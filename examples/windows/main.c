/* SPDX-License-Identifier: MIT */
/* The program's entry on Windows: calls its main with the arguments in UTF-8, and prints UTF-8. */
#include "posix.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <shellapi.h> /* after it */

static UINT code_page; /* of the console before */
static void restore_code_page(void) { SetConsoleOutputCP(code_page); }

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
    code_page = GetConsoleOutputCP();
    if (code_page && !atexit(restore_code_page)) SetConsoleOutputCP(CP_UTF8);
    return windows_main(argc, argv);
}
