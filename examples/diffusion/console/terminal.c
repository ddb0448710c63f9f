/* SPDX-License-Identifier: MIT */
/* See terminal.h. */
#include "console/terminal.h"

#include <stdlib.h>
#include <unistd.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <sys/ioctl.h>
#endif

enum { USUAL_WIDTH = 80, WIDTH_MAX = 10000 };

int terminal_width(FILE *stream) {
#ifdef _WIN32
    CONSOLE_SCREEN_BUFFER_INFO console;
    if (GetConsoleScreenBufferInfo((HANDLE)_get_osfhandle(fileno(stream)), &console))
        return console.srWindow.Right - console.srWindow.Left + 1;
#else
    struct winsize size;
    if (isatty(fileno(stream)) && !ioctl(fileno(stream), TIOCGWINSZ, &size) && size.ws_col > 0)
        return size.ws_col;
#endif
    const char *columns = getenv("COLUMNS");
    long width = columns ? strtol(columns, NULL, 10) : 0;
    return width > 0 && width < WIDTH_MAX ? (int)width : USUAL_WIDTH;
}
