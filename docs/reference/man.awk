# SPDX-License-Identifier: MIT
# Mends a manual page of Doxygen: it has the version for a date, so that it is the same each time, a
# name line that apropos reads and no second one, the header in its synopsis, and no text that begins
# with an apostrophe, which troff takes for a request.

/^\.TH / { sub(/ 3 "[^"]*"/, " 3 \"\"") }
/^\.SH/ { section = $2 }
section == "NAME" && $0 ~ ("^" name " *$") { print name " \\- struct of libdiffusion"; next }
# The summary, which the description repeats.
section == "NAME" && (/^\.PP/ || /^ \\- /) { next }
{ sub(/^'/, "\\\\\\&'") }
/^\.SS/ && section == "SYNOPSIS" && !included {
    print "\\fC#include <diffusion\\&.h>\\fP"
    included = 1
}
/#include <diffusion/ { if (included) next; included = 1 }
{ print }
