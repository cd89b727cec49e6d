/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for the one history file of a test program, empty before each test. A file of another name that is left
 * behind fails the program. */
#ifndef HRT_SUPPORT_HISTORY_FOLDER_H
#define HRT_SUPPORT_HISTORY_FOLDER_H

#include "support/cmocka.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/headroom-history-XXXXXX";
static char path[64], older[64]; /* the file, and its older part */
static char other[64];           /* the next file, which a kill may leave */
static char spare[64];           /* a name for the test itself */

/* Before each test. */
static inline int empty_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(older);
    unlink(other);
    unlink(spare);
    return 0;
}

static inline int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/history", folder);
    snprintf(older, sizeof older, "%s/history.1", folder);
    snprintf(other, sizeof other, "%s/history.new", folder);
    snprintf(spare, sizeof spare, "%s/history.old", folder);
    return 0;
}

static inline bool remove_folder(void)
{
    empty_folder(NULL);
    return rmdir(folder) == 0;
}

/* An exit status. cmocka ignores what a group's teardown says. */
#define RUN_IN_FOLDER(tests) (cmocka_run_group_tests(tests, make_folder, NULL) != 0 || !remove_folder())

#endif
