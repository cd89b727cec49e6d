/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_mount_without_secrets(): the lines of mountinfo that are collected agree about cgroups, and nothing of
 * the options and sources of others. */
#include "fuzz.h"

#include "os/parse.h"

/* A line that is kept is a cgroup's, and whole; or it has no root, no options, and "-" for its source. */
static void check(const char *line, size_t length, const char *kept, size_t kept_length)
{
    HRF_CHECK(kept_length <= 2 * length && kept[kept_length - 1] == '\n');
    if (kept_length == length && memcmp(line, kept, length) == 0)
        return;
    char *text = hrf_text((const uint8_t *)kept, kept_length);
    char *behind = strstr(text, " / ");
    HRF_CHECK(behind != NULL);
    behind = strstr(behind + 2, " - ");
    HRF_CHECK(behind != NULL);
    char *type = behind + 3, *type_end = strchr(type, ' ');
    HRF_CHECK(type_end != NULL && strcmp(type_end, " -\n") == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        size_t length = (size_t)(end - line) + 1;
        char *kept = malloc(2 * length);
        HRF_CHECK(kept != NULL);
        size_t kept_length = hri_parse_mount_without_secrets(line, end, kept);
        if (kept_length)
            check(line, length, kept, kept_length);
        free(kept);
    }
    free(text);
    return 0;
}
