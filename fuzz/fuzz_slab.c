/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_slab(): a line of v1's memory.kmem.slabinfo. */
#include "fuzz.h"

#include "os/parse.h"

/* The oracle: the words of the line, of which the second and third number count. */
static uint64_t expected(const char *line)
{
    uint64_t objects, size;
    const char *at = line + strcspn(line, " ");
    for (int words = 0; words < 2; words++) {
        at += strspn(at, " ");
        if (words == 0)
            at += strcspn(at, " ");
    }
    if (!hrf_number(at, " \n", &objects))
        return 0;
    at += strcspn(at, " ");
    at += strspn(at, " ");
    if (!hrf_number(at, " \n", &size))
        return 0;
    uint64_t bytes;
    return __builtin_mul_overflow(objects, size, &bytes) ? HR_NONE : bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = hrf_text(data, size);
    uint64_t bytes = hri_parse_slab(line);
    size_t name = strcspn(line, " ");
    HRF_CHECK(bytes == 0 || bytes == expected(line));
    HRF_CHECK(bytes == 0 || name >= strlen("dentry"));
    if (strncmp(line, "dentry ", 7) == 0)
        HRF_CHECK(bytes == expected(line));
    if (strncmp(line, "shmem_inode_cache ", 18) == 0 || strncmp(line, "kmalloc-64 ", 11) == 0)
        HRF_CHECK(bytes == 0);
    free(line);
    return 0;
}
