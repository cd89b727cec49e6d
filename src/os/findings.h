/* SPDX-License-Identifier: Apache-2.0 */
/* The findings of a survey beyond figures: where the process stands, and, a sentence each, what could not be seen.
 * Code that reads a site adds to its findings, where it has any: a guard's has none. */
#ifndef HRI_OS_FINDINGS_H
#define HRI_OS_FINDINGS_H

#include <headroom/survey.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct hri_findings {
    int cgroup_version;  /* 0: none was found */
    char *cgroup_path;   /* the own group below its mount point; NULL: none was found */
    char *cgroup_folder; /* where its files are; NULL: it cannot be seen */
    char **unseen;
    size_t unseen_count;
    hr_finding *notes; /* what is worth knowing, each with a name and an advice */
    size_t note_count;
    hr_hugetlb *hugetlb;
    size_t hugetlb_count;
    bool limits_hidden; /* groups above what can be seen may have limits */
    int shortage;       /* -ENOMEM, -EMFILE or -ENFILE: something could not be found out, or not be kept */
} hri_findings;

/* Adds a sentence. NULL findings are fine: nobody wants to know, and the arguments are not computed. strerror() may
 * allocate, and a guard reads with a lock held. */
#define hri_findings_add(findings, ...) ((findings) ? hri_findings_say((findings), __VA_ARGS__) : (void)0)
void hri_findings_say(hri_findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Notes a finding by its name; `advice` lives for ever. A name that is there already is not noted again. */
void hri_findings_note(hri_findings *findings, const char *id, const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Keeps a limit on huge pages, of which `source` is a text to be copied. */
void hri_findings_hugetlb(hri_findings *findings, const char *source, uint64_t use_bytes, uint64_t limit_bytes);

/* Keeps where the process's group is, and the folder of its files (NULL: it cannot be seen). NULL findings are fine. */
void hri_findings_place(hri_findings *findings, int cgroup_version, const char *path, const char *folder);

void hri_findings_free(hri_findings *findings);

#endif
