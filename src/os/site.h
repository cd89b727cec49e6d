/* SPDX-License-Identifier: Apache-2.0 */
/* Whose figures are read, and where. */
#ifndef HRI_OS_SITE_H
#define HRI_OS_SITE_H

#include "os/copy.h"
#include "os/findings.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct hri_site {
    const char *root;       /* where /proc and /sys are: "" for the machine itself */
    int pid;                /* 0: this process */
    bool only_place;        /* a copied tree of files: nothing of this machine, or of a process that runs, is asked */
    hri_findings *findings; /* NULL: nobody wants to know what cannot be seen */
    hri_copy *copy;         /* what is read is copied there; NULL: nowhere */
} hri_site;

#define HRI_SITE_PATH_BYTES 64

/* Writes the path of a file in the process's folder of /proc, and gives it. */
static inline const char *hri_site_path(const hri_site *site, const char *name, char path[HRI_SITE_PATH_BYTES])
{
    if (site->pid)
        snprintf(path, HRI_SITE_PATH_BYTES, "/proc/%d/%s", site->pid, name);
    else
        snprintf(path, HRI_SITE_PATH_BYTES, "/proc/self/%s", name);
    return path;
}

#endif
