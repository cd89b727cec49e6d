/* SPDX-License-Identifier: Apache-2.0 */
/* hri_host_parse(): meminfo, and behind the first line of "---" ZFS's arcstats. */
#include "fuzz.h"

#include "os/host.h"
#include "os/parse.h"

#include <headroom/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *meminfo = hrf_text(data, size);
    char *arcstats = strstr(meminfo, "---\n");
    if (arcstats) {
        *arcstats = '\0';
        arcstats += 4;
    }
    hri_host_reading host, without;
    hri_host_parse(meminfo, arcstats, &host);
    hri_host_parse(meminfo, NULL, &without);
    HRF_CHECK(host.total_bytes == without.total_bytes && host.absurd == without.absurd);
    HRF_CHECK(host.total_bytes != 0);
    HRF_CHECK(host.available_bytes == HR_NONE || host.available_bytes <= host.total_bytes);
    HRF_CHECK(without.available_bytes <= host.available_bytes); /* ZFS only gives */
    HRF_CHECK(host.reclaimable_bytes == HR_NONE || host.reclaimable_bytes <= host.total_bytes);
    uint64_t ignored;
    if (!host.absurd && hri_parse_key(meminfo, "MemTotal:", &ignored) != 0)
        HRF_CHECK(host.total_bytes == HR_NONE);
    free(meminfo);
    return 0;
}
