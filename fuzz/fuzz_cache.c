/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on a cache, held against a map that is an array: three bytes each, which say what, on which key, how much.
 * The first byte is the cache's size. With 0 nothing is ever evicted, and the two must agree on every key. Else a key
 * may be missing, but never have another value than the last one that was put.
 */
#include "fuzz.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>

#define KEYS 32
#define REFS 8
#define VALUE_MAX 4096

static struct {
    bool there;
    uint8_t fill;
    size_t size;
} map[KEYS];

static struct {
    hr_cache_ref ref;
    uint8_t fill;
    size_t size;
} refs[REFS];

static hr_cache *cache;
static bool evicts;
static unsigned visited;

static size_t key_of(uint8_t number, char *key)
{
    return (size_t)snprintf(key, 16, "%.*s%u", number % 9, "keykeykey", number);
}

static bool is_whole(const hr_cache_ref *ref, uint8_t fill, size_t size)
{
    const uint8_t *bytes = ref->data;
    bool whole = ref->size == size;
    for (size_t i = 0; i < ref->size && whole; i++)
        whole = bytes[i] == fill;
    return whole;
}

static void put(uint8_t number, uint8_t amount)
{
    uint8_t value[VALUE_MAX];
    char key[16];
    size_t size = amount * (size_t)16, key_size = key_of(number, key);
    memset(value, amount, size);
    int error = hr_cache_put(cache, key, key_size, value, size, 0);
    HRF_CHECK(error == 0 || (evicts && (error == -E2BIG || error == -EDQUOT)));
    map[number].there = error == 0; /* what is refused takes away the old value */
    map[number].fill = amount;
    map[number].size = size;
}

static void get(uint8_t number, uint8_t slot)
{
    char key[16];
    hr_cache_release(cache, &refs[slot % REFS].ref);
    int error = hr_cache_get(cache, key, key_of(number, key), &refs[slot % REFS].ref);
    HRF_CHECK(error == 0 || error == -ENOENT);
    HRF_CHECK(error != 0 || map[number].there);
    HRF_CHECK(error == 0 || !map[number].there || evicts);
    if (error == 0) {
        HRF_CHECK(is_whole(&refs[slot % REFS].ref, map[number].fill, map[number].size));
        refs[slot % REFS].fill = map[number].fill;
        refs[slot % REFS].size = map[number].size;
    }
    map[number].there &= error == 0; /* what was evicted stays away */
}

static void take_out(uint8_t number)
{
    char key[16];
    int error = hr_cache_remove(cache, key, key_of(number, key));
    HRF_CHECK(error == 0 || error == -ENOENT);
    HRF_CHECK(error == 0 ? map[number].there : evicts || !map[number].there);
    map[number].there = false;
}

static int visit(void *context, const void *key, size_t key_size, const hr_cache_ref *value)
{
    (void)context;
    visited++;
    for (uint8_t number = 0; number < KEYS; number++) {
        char name[16];
        if (key_of(number, name) == key_size && memcmp(name, key, key_size) == 0) {
            HRF_CHECK(map[number].there && is_whole(value, map[number].fill, map[number].size));
            return 0;
        }
    }
    hrf_fail(__FILE__, __LINE__, "it is a key that was put");
}

static void walk(void)
{
    hr_cache_figures figures;
    unsigned there = 0;
    visited = 0;
    HRF_CHECK(hr_cache_walk(cache, visit, NULL) == 0);
    HRF_CHECK(hr_cache_read(cache, &figures) == 0);
    for (unsigned i = 0; i < KEYS; i++)
        there += map[i].there;
    HRF_CHECK(visited == figures.entries && (evicts ? visited <= there : visited == there));
    HRF_CHECK(figures.bytes <= figures.max_bytes);
    HRF_CHECK(figures.pinned <= REFS);
}

static void operate(uint8_t what, uint8_t number, uint8_t amount)
{
    switch (what % 8) {
    case 0:
    case 1:
        put(number, amount);
        break;
    case 2:
    case 3:
        get(number, amount);
        break;
    case 4:
        take_out(number);
        break;
    case 5:
        HRF_CHECK(!refs[amount % REFS].ref.entry_ ||
                  is_whole(&refs[amount % REFS].ref, refs[amount % REFS].fill, refs[amount % REFS].size));
        hr_cache_release(cache, &refs[amount % REFS].ref);
        break;
    case 6:
        if (evicts)
            hr_cache_trim(cache, amount * UINT64_C(64));
        walk();
        break;
    default:
        if (amount == 0) {
            hr_cache_clear(cache);
            memset(map, 0, sizeof map);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hr_guard *guard;
    hr_guard_options guard_options = {.limit_bytes = 64 << 20, .interval_ns = -1, .purge_interval_ns = -1};
    if (size < 1)
        return 0;
    if (!guard)
        HRF_CHECK(hr_guard_new(&guard_options, &guard) == 0);
    evicts = data[0] % 8 != 0;
    hr_cache_options options = {.max_bytes = evicts ? data[0] * UINT64_C(128) : HR_NONE, .shards = 1u << data[0] % 3};
    HRF_CHECK(hr_cache_new(guard, &options, &cache) == 0);
    memset(map, 0, sizeof map);
    for (size_t at = 1; at + 3 <= size; at += 3)
        operate(data[at], data[at + 1] % KEYS, data[at + 2]);
    walk();
    for (unsigned i = 0; i < REFS; i++)
        hr_cache_release(cache, &refs[i].ref);
    HRF_CHECK(hr_cache_free(cache) == 0);
    hr_budget_figures account;
    HRF_CHECK(hr_budget_read(hr_guard_root(guard), &account) == 0 && account.used_bytes == 0);
    return 0;
}
