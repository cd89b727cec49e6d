/* SPDX-License-Identifier: Apache-2.0 */
/* hri_stalls_parse(): memory.pressure. */
#include "fuzz.h"

#include "os/stalls.h"

#include <errno.h>

static bool is_share(double per_cent)
{
    return per_cent >= 0 && per_cent <= 100;
}

static void check(const hri_stalled_time *stall)
{
    HRF_CHECK(is_share(stall->avg10) && is_share(stall->avg60) && is_share(stall->avg300));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size);
    hri_stalls stalls = {.some.total_us = 4711};
    int error = hri_stalls_parse(text, &stalls);
    HRF_CHECK(error == 0 || error == -ENODATA);
    HRF_CHECK(stalls.known == (error == 0));
    HRF_CHECK(error == 0 || stalls.some.total_us == 4711);
    check(&stalls.some);
    check(&stalls.full);
    free(text);
    return 0;
}
