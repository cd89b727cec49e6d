/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of churn: their names and defaults. Their meanings stand at the head of churn.c. */
#ifndef HRT_KILLS_CHURN_PARAMETERS_H
#define HRT_KILLS_CHURN_PARAMETERS_H

#include "kills/kills.h"

typedef struct parameter {
    const char *name;
    long value;
} parameter;

enum {
    THREADS,
    SMALL,
    MID,
    LARGE,
    HUGE,
    REALLOC,
    CALLOC,
    ALIGN,
    CROSS,
    LATE,
    OWN,
    BURST,
    FILL,
    ADMIT,
    TUNED,
    INTERVAL,
    RECLAIM,
    MAXK,
    PACE,
    PARAMETERS
};

static parameter parameters[PARAMETERS] = {
    [THREADS] = {"threads", 4}, [SMALL] = {"small", 60},     [MID] = {"mid", 30},       [LARGE] = {"large", 8},
    [HUGE] = {"huge", 2},       [REALLOC] = {"realloc", 10}, [CALLOC] = {"calloc", 10}, [ALIGN] = {"align", 3},
    [CROSS] = {"cross", 20},    [LATE] = {"late", 0},        [OWN] = {"own", 0},        [BURST] = {"burst", 0},
    [FILL] = {"fill", 0},       [ADMIT] = {"admit", 5},      [TUNED] = {"tuned", 0},    [INTERVAL] = {"interval", 0},
    [RECLAIM] = {"reclaim", 0}, [MAXK] = {"maxk", 8192},     [PACE] = {"pace", 0},
};

static size_t value(int index)
{
    return (size_t)parameters[index].value;
}

/* Takes a word such as threads=4. */
static void set_parameter(char *word)
{
    char *equals = strchr(word, '=');
    for (int i = 0; equals && i < PARAMETERS; i++) {
        if (strncmp(word, parameters[i].name, (size_t)(equals - word)) == 0 && parameters[i].name[equals - word] == 0) {
            parameters[i].value = atol(equals + 1);
            return;
        }
    }
    hrt_end(HRT_NO_SET_UP, word);
}

#endif
