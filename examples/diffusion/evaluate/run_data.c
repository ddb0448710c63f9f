/* SPDX-License-Identifier: MIT */
/* See run_data.h. */
#include "evaluate/run_data.h"

#include <stdio.h>

#include "data/data_options.h"
#include "train/run_folder.h"
#include "train/settings.h"

int32_t use_data_of_run(const command_line *line, const model *m) {
    const option *data = command_line_option(line, "data");
    char path[OUTPUT_PATH_SIZE];
    if (data->given) return 0;
    beside(m->path, settings_name, path);
    if (read_settings(line, path)) return REPORTED;
    if (!data->text)
        return command_line_refuse(line, "--data PATH is needed: the pictures to measure with");
    fprintf(stderr,
            "data: %s, which %s names; of a folder, these pictures were trained on, and --data "
            "names others\n",
            data_values.path, path);
    return 0;
}
