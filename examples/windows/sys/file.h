/* SPDX-License-Identifier: MIT */
/* flock, which Windows does not have: no folder is locked. */
#ifndef EXAMPLES_WINDOWS_SYS_FILE_H
#define EXAMPLES_WINDOWS_SYS_FILE_H

#define LOCK_EX 2
#define LOCK_NB 4
#define flock(fd, operation) ((void)(fd), (void)(operation), 0)

#endif
