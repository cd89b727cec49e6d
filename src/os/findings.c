/* SPDX-License-Identifier: Apache-2.0 */
#include "os/findings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *format_anew(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

void hri_findings_say(hri_findings *findings, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = format_anew(format, arguments);
    va_end(arguments);
    char **more = text ? realloc(findings->unseen, (findings->unseen_count + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        findings->shortage = -ENOMEM;
        return;
    }
    more[findings->unseen_count++] = text;
    findings->unseen = more;
}

static bool is_noted(const hri_findings *findings, const char *id)
{
    for (size_t i = 0; i < findings->note_count; i++) {
        if (strcmp(findings->notes[i].id, id) == 0)
            return true;
    }
    return false;
}

void hri_findings_note(hri_findings *findings, const char *id, const char *advice, const char *format, ...)
{
    if (!findings || is_noted(findings, id))
        return;
    va_list arguments;
    va_start(arguments, format);
    char *text = format_anew(format, arguments);
    va_end(arguments);
    hr_finding *more = text ? realloc(findings->notes, (findings->note_count + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        findings->shortage = -ENOMEM;
        return;
    }
    more[findings->note_count++] = (hr_finding){.id = id, .text = text, .advice = advice};
    findings->notes = more;
}

void hri_findings_hugetlb(hri_findings *findings, const char *source, uint64_t use_bytes, uint64_t limit_bytes)
{
    char *text = strdup(source);
    hr_hugetlb *more = text ? realloc(findings->hugetlb, (findings->hugetlb_count + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        findings->shortage = -ENOMEM;
        return;
    }
    more[findings->hugetlb_count++] = (hr_hugetlb){.source = text, .use_bytes = use_bytes, .limit_bytes = limit_bytes};
    findings->hugetlb = more;
}

void hri_findings_place(hri_findings *findings, int cgroup_version, const char *path, const char *folder)
{
    if (!findings)
        return;
    free(findings->cgroup_path);
    free(findings->cgroup_folder);
    findings->cgroup_version = cgroup_version;
    findings->cgroup_path = strdup(path);
    findings->cgroup_folder = folder ? strdup(folder) : NULL;
    if (!findings->cgroup_path || (folder && !findings->cgroup_folder))
        findings->shortage = -ENOMEM;
}

void hri_findings_free(hri_findings *findings)
{
    for (size_t i = 0; i < findings->unseen_count; i++)
        free(findings->unseen[i]);
    free(findings->unseen);
    for (size_t i = 0; i < findings->note_count; i++)
        free((char *)findings->notes[i].text);
    free(findings->notes);
    for (size_t i = 0; i < findings->hugetlb_count; i++)
        free((char *)findings->hugetlb[i].source);
    free(findings->hugetlb);
    free(findings->cgroup_path);
    free(findings->cgroup_folder);
    *findings = (hri_findings){0};
}
