/* SPDX-License-Identifier: Apache-2.0 */
/* hri_cgroup_parse_stat(): memory.stat. */
#include "fuzz.h"

#include "os/cgroup.h"

#define UNTOUCHED UINT64_C(0x5bd1e995)

typedef unsigned __int128 wide;

/* Adds the figure behind a key. False where there is none. */
static bool add(const char *text, const char *key, wide *sum)
{
    uint64_t value;
    bool found = hrf_key(text, key, &value);
    if (found)
        *sum += value;
    return found;
}

static uint64_t narrow(wide value)
{
    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

/* The oracle: docs/design.md's table in numbers that cannot overflow. */
static bool expect(const char *text, int version, uint64_t *ret_use, uint64_t *ret_cache)
{
    wide use = 0, cache = 0, kernel = 0, slab = 0;
    bool v1 = version == 1;
    if (!add(text, v1 ? "total_active_anon" : "active_anon", &use) ||
        !add(text, v1 ? "total_inactive_anon" : "inactive_anon", &use) ||
        !add(text, v1 ? "total_unevictable" : "unevictable", &use) ||
        !add(text, v1 ? "total_active_file" : "active_file", &cache) ||
        !add(text, v1 ? "total_inactive_file" : "inactive_file", &cache))
        return false;
    if (!v1 && add(text, "kernel", &kernel) && add(text, "slab_reclaimable", &slab)) {
        kernel = kernel > slab ? kernel - slab : 0;
    } else if (!v1) {
        kernel = 0;
        if (!add(text, "slab_unreclaimable", &kernel))
            return false;
        add(text, "kernel_stack", &kernel);
        add(text, "pagetables", &kernel);
        add(text, "percpu", &kernel);
    }
    if (!v1)
        add(text, "sock", &use);
    *ret_use = narrow(use + kernel);
    *ret_cache = narrow(cache);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size);
    for (int version = 1; version <= 2; version++) {
        hri_cgroup_reading reading = {UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED};
        uint64_t use = UNTOUCHED, cache = UNTOUCHED;
        int error = hri_cgroup_parse_stat(text, version, &reading);
        HRF_CHECK(error == 0 || error == -ENODATA);
        HRF_CHECK(expect(text, version, &use, &cache) == (error == 0));
        HRF_CHECK(reading.use_bytes == use && reading.cache_bytes == cache);
        HRF_CHECK(reading.limit_bytes == UNTOUCHED && reading.charged_bytes == UNTOUCHED);
    }
    free(text);
    return 0;
}
