/* SPDX-License-Identifier: MIT */
/* See data_options.h. */
#include "data/data_options.h"

#include <string.h>

enum { READERS_MAX = 64 };

data_options data_values;

static option options[] = {
    {.name = "data",
     .letter = 'd',
     .kind = OPTION_FILE,
     .argument = "PATH",
     .value = &data_values.path,
     .saved = 1,
     .help = "A folder of PNG and JPEG files, with its subfolders; CIFAR-10 "
             "(cifar-10-binary.tar.gz or its folder); builtin: generated shapes; or "
             "builtin-vector: shapes with the numbers that describe them"},
    {.name = "size",
     .kind = OPTION_TEXT,
     .argument = "N",
     .value = &data_values.size,
     .saved = 1,
     .initial = "that of most pictures, at most 64",
     .help = "Height and width of the images in pixels, or HxW as in 32x48; pictures are scaled "
             "to cover it, and cropped"},
    {.name = "crop",
     .kind = OPTION_CHOICE,
     .value = &data_values.crop,
     .choices = "center random",
     .saved = 1,
     .help = "The part of a picture that is kept; random: a different one in each epoch"},
    {.name = "grey",
     .kind = OPTION_FLAG,
     .value = &data_values.grey,
     .saved = 1,
     .help = "Read pictures without colours"},
    {.name = "background",
     .kind = OPTION_TEXT,
     .argument = "COLOUR",
     .value = &data_values.background,
     .saved = 1,
     .help = "Colour under transparent pixels: white, black, grey or #rrggbb"},
    {.name = "cache",
     .kind = OPTION_COUNT,
     .argument = "MB",
     .value = &data_values.memory_mb,
     .minimum = 0,
     .maximum = 1e9,
     .saved = 1,
     .help = "Memory for decoded pictures, in 10^6 bytes; the rest are decoded in each epoch"},
    {.name = "readers",
     .kind = OPTION_COUNT,
     .value = &data_values.readers,
     .minimum = 0,
     .maximum = READERS_MAX,
     .saved = 1,
     .help = "Threads that decode pictures during training; 0: as many as --threads"},
    {.name = "condition",
     .kind = OPTION_FOLDER,
     .value = &data_values.condition,
     .saved = 1,
     .help = "A folder with a picture of the same name for each one of --data: the network "
             "learns to generate the pictures of --data from these"},
};

int is_builtin(const char *path) {
    return !strcmp(path, "builtin") || !strcmp(path, "builtin-vector");
}

option_group data_group(void) {
    options[0].initial = NULL;
    data_values = (data_options){.path = "builtin",
                                 .crop = "center",
                                 .background = "white",
                                 .memory_mb = 1000};
    return (option_group){.title = "The pictures",
                          .options = options,
                          .count = sizeof options / sizeof *options};
}
