/* SPDX-License-Identifier: MIT */
/* The folder of a run: which one it is, and what is in it. */
#ifndef DIFFUSION_TRAIN_RUN_FOLDER_H
#define DIFFUSION_TRAIN_RUN_FOLDER_H

#include "train/session.h"

extern const char checkpoint_name[], settings_name[], log_name[], evaluation_name[];

/* Sets the checkpoint of --resume with the settings beside it, and the folder of the run. Refuses a
 * folder that has a run's files already, without --force. 0, or REPORTED. */
int find_run(session *s);
/* Locks the run's folder, if it exists, against another process that trains in it. 0, or REPORTED.
 */
int lock_run(session *s);
void unlock_run(session *s);
/* The path of a file that is in the same folder as another one. */
void beside(const char *path, const char *name, char out[OUTPUT_PATH_SIZE]);
/* Removes what another run has left in the folder of this one. Its checkpoint stays, under another
 * name, until drop_replaced. 0, or REPORTED. */
int replace_run(session *s);
/* After the first checkpoint. */
void drop_replaced(session *s);

#endif
