/* SPDX-License-Identifier: Apache-2.0 */
#include "os/start.h"

#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_FIELD 3
#define THREADS_FIELD 20
#define START_FIELD 22

/* The nth field, from the third on. The second, the program's name, may have any character in it. */
static const char *find_field(const char *line, int nth)
{
    const char *at = strrchr(line, ')');
    for (int field = 2; at && field < nth; field++)
        at = strchr(at + 1, ' ');
    return at ? at + 1 : "";
}

uint64_t hri_process_start(int pid, bool *ret_ended)
{
    char path[32], text[1024] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (hri_file_read_path("", path, text, sizeof text) <= 0)
        text[0] = '\0';
    /* A first thread that has ended before the others is a zombie too. */
    if (ret_ended)
        *ret_ended = *find_field(text, STATE_FIELD) == 'Z' && strtoul(find_field(text, THREADS_FIELD), NULL, 10) <= 1;
    return strtoull(find_field(text, START_FIELD), NULL, 10);
}
