/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_field(): statm. The input's first byte is the index, the rest the text. */
#include "fuzz.h"

#include "os/parse.h"

#define UNTOUCHED UINT64_C(0x5bd1e995)

/* The oracle: words are what stands between spaces. */
static bool find(const char *text, unsigned index, uint64_t *ret_value)
{
    text += strspn(text, " ");
    for (; index > 0 && *text; index--) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return hrf_number(text, " \n", ret_value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned index = data[0] % 16;
    char *text = hrf_text(data + 1, size - 1);
    uint64_t value = UNTOUCHED, expected = UNTOUCHED;
    int error = hri_parse_field(text, index, &value);
    HRF_CHECK(find(text, index, &expected) == (error == 0));
    HRF_CHECK(error == 0 || error == -ENOENT || error == -EINVAL);
    HRF_CHECK(value == expected);
    free(text);
    return 0;
}
