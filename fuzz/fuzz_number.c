/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_number(): a file such as memory.max. */
#include "fuzz.h"

#include "os/parse.h"

#define UNTOUCHED UINT64_C(0x5bd1e995)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size);
    uint64_t value = UNTOUCHED, expected = UNTOUCHED, again = UNTOUCHED;
    int error = hri_parse_number(text, &value);
    bool is_max = strncmp(text, "max\n", 4) == 0;
    if (is_max)
        expected = HR_NONE;
    bool is_number = is_max || hrf_number(text, "\n", &expected);
    HRF_CHECK(error == (is_number ? 0 : -EINVAL));
    HRF_CHECK(value == expected);
    HRF_CHECK(hri_parse_number(text, &again) == error && again == value);
    char *end = strchr(text, '\n');
    if (end) {
        *end = '\0'; /* cut short: never the head of a number */
        again = UNTOUCHED;
        HRF_CHECK(hri_parse_number(text, &again) == -EINVAL && again == UNTOUCHED);
    }
    free(text);
    return 0;
}
