/* SPDX-License-Identifier: Apache-2.0 */
/* What a survey wants to know beyond figures: where the process stands, and, a sentence each, what could not be seen.
 * Whoever reads a site adds to its findings, where it has any: a guard's has none. */
#ifndef HRI_OS_FINDINGS_H
#define HRI_OS_FINDINGS_H

#include <stddef.h>

typedef struct hri_findings {
    int cgroup_version;  /* 0: none was found */
    char *cgroup_path;   /* the own group below its mount point; NULL: none was found */
    char *cgroup_folder; /* where its files are; NULL: it cannot be seen */
    char **unseen;
    size_t unseen_count;
    int shortage; /* -ENOMEM, -EMFILE or -ENFILE: something could not be found out, or not be kept */
} hri_findings;

/* Adds a sentence. NULL findings are fine: nobody wants to know, and the arguments are not computed. strerror() may
 * allocate, and a guard reads with a lock held. */
#define hri_findings_add(findings, ...) ((findings) ? hri_findings_say((findings), __VA_ARGS__) : (void)0)
void hri_findings_say(hri_findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps where the process's group is, and the folder of its files (NULL: it cannot be seen). NULL findings are fine. */
void hri_findings_place(hri_findings *findings, int cgroup_version, const char *path, const char *folder);

void hri_findings_free(hri_findings *findings);

#endif
