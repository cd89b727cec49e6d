/* SPDX-License-Identifier: Apache-2.0 */
/* hri_cgroup_parse_stat(): memory.stat. */
#include "fuzz.h"

#include "os/cgroup.h"
#include "os/parse.h"

#define UNTOUCHED UINT64_C(0x5bd1e995)

typedef unsigned __int128 wide;

/* The figures that are known of a text. */
struct known {
    const char *text;
    bool cut;     /* it ends within a line */
    bool missing; /* a figure that may have been cut off */
};

/* Gives the figure behind a key; 0 where there is none. */
static wide figure(struct known *known, const char *key)
{
    uint64_t value = 0;
    if (hrf_key(known->text, key, &value))
        return value;
    uint64_t ignored;
    known->missing |= known->cut || hri_parse_key(known->text, key, &ignored) == -EINVAL;
    return 0;
}

static wide optional(const char *text, const char *key)
{
    uint64_t value = 0;
    hrf_key(text, key, &value);
    return value;
}

static uint64_t narrow(wide value)
{
    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

static wide less(wide a, wide b)
{
    return a > b ? a - b : 0;
}

/* Mapped bytes that are on no list, except for those given back with MADV_FREE: these are on the lists of files. */
static wide unlisted(const char *text, bool v1, wide listed, wide cache)
{
    uint64_t anonymous, shared, file;
    if (!hrf_key(text, v1 ? "total_rss" : "anon", &anonymous) ||
        !hrf_key(text, v1 ? "total_shmem" : "shmem", &shared) || !hrf_key(text, v1 ? "total_cache" : "file", &file))
        return 0;
    wide all = narrow((wide)anonymous + shared);
    return less(less(all, less(narrow(cache), less(file, shared))), narrow(listed));
}

/* The oracle: docs/design.md's table in numbers that cannot overflow. */
static bool expect(const char *text, int version, uint64_t *ret_use, uint64_t *ret_cache)
{
    uint64_t value;
    size_t length = strlen(text);
    bool v1 = version == 1, has_kernel = hrf_key(text, "kernel", &value);
    struct known known = {.text = text, .cut = length == 0 || text[length - 1] != '\n'};
    wide use = figure(&known, v1 ? "total_active_anon" : "active_anon");
    use += figure(&known, v1 ? "total_inactive_anon" : "inactive_anon");
    uint64_t anonymous, shared;
    if (hrf_key(text, v1 ? "total_rss" : "anon", &anonymous) && hrf_key(text, v1 ? "total_shmem" : "shmem", &shared)) {
        wide mapped = (wide)anonymous + shared;
        use = mapped < use ? mapped : use;
    }
    use += figure(&known, v1 ? "total_unevictable" : "unevictable");
    wide cache = figure(&known, v1 ? "total_active_file" : "active_file");
    cache += figure(&known, v1 ? "total_inactive_file" : "inactive_file");
    use += unlisted(text, v1, use, cache);
    use += v1 ? 0 : optional(text, "hugetlb");
    if (!v1 && has_kernel) {
        wide kernel = value, slab = figure(&known, "slab_reclaimable");
        use += kernel > slab ? kernel - slab : 0;
    } else if (!v1) {
        use += figure(&known, "slab_unreclaimable") + optional(text, "kernel_stack") + optional(text, "pagetables") +
               optional(text, "percpu");
    }
    if (!v1)
        use += optional(text, "sock");
    if (known.missing || (!hrf_key(text, v1 ? "total_active_anon" : "active_anon", &value) &&
                          !hrf_key(text, v1 ? "total_inactive_anon" : "inactive_anon", &value)))
        return false;
    *ret_use = narrow(use);
    *ret_cache = narrow(cache);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size);
    for (int version = 1; version <= 2; version++) {
        hri_cgroup_reading reading = {
            .limit_bytes = UNTOUCHED,
            .use_bytes = UNTOUCHED,
            .cache_bytes = UNTOUCHED,
            .charged_bytes = UNTOUCHED,
            .current_bytes = UNTOUCHED,
            .anonymous_bytes = UNTOUCHED,
        };
        uint64_t use = UNTOUCHED, cache = UNTOUCHED;
        int error = hri_cgroup_parse_stat(text, version, &reading);
        HRF_CHECK(error == 0 || error == -ENODATA);
        HRF_CHECK(expect(text, version, &use, &cache) == (error == 0));
        HRF_CHECK(reading.use_bytes == use && reading.cache_bytes == cache);
        HRF_CHECK(error ? reading.anonymous_bytes == UNTOUCHED : reading.anonymous_bytes <= use);
        HRF_CHECK(reading.limit_bytes == UNTOUCHED && reading.charged_bytes == UNTOUCHED);
        HRF_CHECK(reading.current_bytes == UNTOUCHED);
        HRF_CHECK(error || reading.dirty_bytes <= cache);
    }
    free(text);
    return 0;
}
