/* SPDX-License-Identifier: MIT */
/* The folder of a run: which one it is, and what is in it. */
#ifndef DIFFUSION_TRAIN_RUN_FOLDER_H
#define DIFFUSION_TRAIN_RUN_FOLDER_H

#include "train/session.h"

extern const char checkpoint_name[], settings_name[], log_name[], evaluation_name[];

/* Sets the checkpoint of --resume with the settings beside it, and the folder of the run. Refuses a
 * folder that has a run's files already, without --force. 0, or REPORTED. */
int find_run(session *s);
/* Makes the run's folder and locks it against another process that trains in it, if find_run found
 * none to lock. 0, or REPORTED, as where another run has begun there since. */
int make_run_folder(session *s);
void unlock_run(session *s);
/* The path of a file that is in the same folder as another one. */
void beside(const char *path, const char *name, char out[OUTPUT_PATH_SIZE]);
/* Removes what another run has left in the folder of this one; its checkpoint stays, under another
 * name, until drop_replaced. Of a resumed run, removes what it left unfinished when it was killed.
 * 0, or REPORTED. */
int replace_run(session *s);
/* After the first checkpoint. */
void drop_replaced(session *s);
/* At the end, where no checkpoint was saved: says where the other one is. */
void report_replaced(const session *s);

#endif
