/* SPDX-License-Identifier: Apache-2.0 */
#include "os/start.h"

#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_FIELD 22

/* The name of the program, field 2, may have any character in it. */
uint64_t hri_process_start(int pid)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (hri_file_read_path("", path, text, sizeof text) <= 0)
        return 0;
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < START_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}
