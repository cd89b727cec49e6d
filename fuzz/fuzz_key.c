/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_key(): memory.stat, meminfo. The input's first line is a key, the rest is the text. */
#include "fuzz.h"

#include "os/parse.h"

#define UNTOUCHED UINT64_C(0x5bd1e995)

static void check(const char *text, const char *key)
{
    uint64_t value = UNTOUCHED, expected = UNTOUCHED, again = UNTOUCHED;
    int error = hri_parse_key(text, key, &value);
    bool found = hrf_key(text, key, &expected);
    HRF_CHECK(found == (error == 0));
    HRF_CHECK(error == 0 || error == -ENOENT || error == -EINVAL);
    HRF_CHECK(value == expected);
    HRF_CHECK(hri_parse_key(text, key, &again) == error && again == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"kernel", "active_anon", "sock", "hierarchical_memory_limit", "MemTotal:"};
    char *input = hrf_text(data, size);
    char *text = hrf_cut_line(input);
    if (input[0])
        check(text, input);
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
        check(text, keys[i]);
    free(input);
    return 0;
}
