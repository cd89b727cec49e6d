/* SPDX-License-Identifier: Apache-2.0 */
/* hr_size_parse() and hr_size_format(), there and back. The input is a text, and its first eight bytes are a size. */
#include "fuzz.h"

#define UNTOUCHED UINT64_C(0x5bd1e995)
#define FORMAT_BYTES 16

/* A size that was written for people is read as nearly the same, and written the same again. */
static void check_round_trip(uint64_t bytes)
{
    char text[FORMAT_BYTES], again[FORMAT_BYTES], small[FORMAT_BYTES];
    uint64_t back = UNTOUCHED;
    HRF_CHECK(hr_size_format(bytes, text, sizeof text) == text);
    HRF_CHECK(strlen(text) < sizeof text - 1); /* nothing was cut */
    int error = hr_size_parse(text, &back);
    if (error == -ERANGE) { /* "16.0 EiB" is more than there is */
        HRF_CHECK(bytes > UINT64_MAX / 32 * 31 && back == UNTOUCHED);
        return;
    }
    HRF_CHECK(error == 0);
    uint64_t apart = back > bytes ? back - bytes : bytes - back;
    HRF_CHECK(apart <= bytes / 20);
    HRF_CHECK((back == HR_NONE) == (bytes == HR_NONE));
    HRF_CHECK(strcmp(hr_size_format(back, again, sizeof again), text) == 0);
    for (size_t size = 1; size < sizeof small; size++) {
        hr_size_format(bytes, small, size);
        HRF_CHECK(strlen(small) < size && strncmp(small, text, size - 1) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bytes = UNTOUCHED, again = UNTOUCHED;
    char *text = hrf_text(data, size);
    int error = hr_size_parse(text, &bytes);
    HRF_CHECK(error == 0 || error == -EINVAL || error == -ERANGE);
    HRF_CHECK(error == 0 || bytes == UNTOUCHED);
    HRF_CHECK(hr_size_parse(text, &again) == error && again == bytes);
    if (!error) {
        HRF_CHECK(bytes != HR_NONE || strcasestr(text, "none") || strcasestr(text, "unlimited"));
        check_round_trip(bytes);
    }
    if (size >= sizeof bytes) {
        memcpy(&bytes, data, sizeof bytes);
        check_round_trip(bytes);
        check_round_trip(bytes >> (bytes % 64));
    }
    free(text);
    return 0;
}
