/* SPDX-License-Identifier: Apache-2.0 */
#include "os/host.h"

#include "base/checked.h"
#include "os/parse.h"

#include <headroom/base.h>

/* No machine has as much; a figure that wrapped around has more. */
#define ABSURD_BYTES (UINT64_C(1) << 56)

/* HR_NONE where it is absent, and never where it is there, however large. */
static uint64_t kibibytes(const char *meminfo, const char *key)
{
    uint64_t value;
    return hri_parse_key(meminfo, key, &value) == 0 ? hri_min(hri_mul(value, 1024), HR_NONE - 1) : HR_NONE;
}

/* ZFS keeps its cache (ARC) outside of the page cache, and gives back what it has above c_min. */
static uint64_t given_back_by_zfs(const char *arcstats)
{
    uint64_t size, least;
    if (!arcstats || hri_parse_key_field(arcstats, "size", 1, &size) != 0 ||
        hri_parse_key_field(arcstats, "c_min", 1, &least) != 0)
        return 0;
    return hri_sub(size, least);
}

void hri_host_parse(const char *meminfo, const char *arcstats, hri_host_reading *ret_reading)
{
    hri_host_reading host = {
        .total_bytes = kibibytes(meminfo, "MemTotal:"),
        .available_bytes = kibibytes(meminfo, "MemAvailable:"),
        .reclaimable_bytes = kibibytes(meminfo, "SReclaimable:"),
    };
    uint64_t free_bytes = kibibytes(meminfo, "MemFree:");
    if (host.total_bytes != HR_NONE && (host.total_bytes == 0 || host.total_bytes >= ABSURD_BYTES)) {
        host.total_bytes = host.available_bytes = host.reclaimable_bytes = HR_NONE;
        host.absurd = true;
    }
    if (host.available_bytes != HR_NONE && host.available_bytes > host.total_bytes) {
        host.available_bytes = HR_NONE;
        host.absurd = true;
    }
    if (host.reclaimable_bytes != HR_NONE && host.reclaimable_bytes > host.total_bytes)
        host.reclaimable_bytes = HR_NONE;
    if (host.available_bytes != HR_NONE && host.available_bytes == free_bytes && host.reclaimable_bytes != HR_NONE)
        host.available_bytes = hri_add(host.available_bytes, host.reclaimable_bytes);
    if (host.available_bytes != HR_NONE)
        host.available_bytes = hri_min(hri_add(host.available_bytes, given_back_by_zfs(arcstats)), host.total_bytes);
    *ret_reading = host;
}
