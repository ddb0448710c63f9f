/* SPDX-License-Identifier: MIT */
/* An option of a command. It sets either a variable of the program or a member of one of the
 * library's options structs, whose names, ranges, defaults and help come from the library. */
#ifndef DIFFUSION_COMMAND_OPTION_H
#define DIFFUSION_COMMAND_OPTION_H

#include <diffusion.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option_kind {
    OPTION_MEMBER = 0, /* of the group's struct */
    OPTION_FLAG,       /* int *: 1 where it is given */
    OPTION_COUNT,      /* int64_t *: a whole number */
    OPTION_REAL,       /* double * */
    OPTION_TEXT,       /* const char ** */
    OPTION_CHOICE,     /* const char **: one of `choices`, or free text where `open` */
    OPTION_FILE,       /* const char **: a path, completed as such */
    OPTION_FOLDER
} option_kind;

typedef struct command_option { /* the tag "option" is of getopt_long */
    const char *name;           /* "lr" */
    char letter;                /* 'l', or 0 */
    option_kind kind;
    const char *argument; /* its name in the help, "FILE"; NULL: by kind */
    const char *help;     /* without a full stop; NULL for a member: the library's */
    const char *initial;  /* default as the help tells it; NULL: the value; "": none is told */
    void *value;          /* the variable, by kind */
    double minimum, maximum;
    const char *choices;     /* words divided by spaces */
    const char *enumeration; /* of an OPTION_CHOICE whose words are the library's, in place of
                                `choices` */
    int open;                /* 1: other words than `choices` are allowed */
    const char *member;      /* "learning_rate" */
    const char *flag;        /* what an option without an argument sets a member to; NULL: it has
                                one */
    const char *hidden;      /* a word of its enumeration that is not offered, or NULL */
    int saved;               /* 1: the folder of a run keeps it for --resume */
    /* After the command line was read: */
    const char *text; /* the argument as given, or NULL */
    int given;        /* how often */
} option;

typedef struct option_group {
    const char *title;       /* "The network" */
    const char *struct_name; /* of members: "dm_unet_options" */
    void *values;            /* the initialised struct of members */
    option *options;
    size_t count;
} option_group;

enum { OPTION_TEXT_SIZE = 600 };

/* The information of a member option; 0 where the library has no such member. */
int option_member(const option_group *g, const option *o, dm_member_info *info);
/* Whether it takes an argument. */
int option_takes_argument(const option *o);
/* "FILE", "N", "LIST"; "" for a flag. */
const char *option_argument(const option_group *g, const option *o);
/* The words it offers, divided by spaces; "" if any text will do. */
void option_words(const option_group *g, const option *o, char text[OPTION_TEXT_SIZE]);
/* The word of `words`, divided by spaces, that a text names; '-' and '_' are the same. Its length
 * becomes *length; NULL if there is none. */
const char *option_named_word(const char *words, const char *text, size_t *length);
/* The value of the library's enumeration that a text names, likewise. 0, or 1 if there is none. */
int option_enum_value(const char *enumeration, const char *text, int32_t *value);
/* "Loss of one element: mse, pseudo_huber, hybrid (default: mse)". */
void option_help(const option_group *g, const option *o, char text[OPTION_TEXT_SIZE]);

#endif
