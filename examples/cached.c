/* SPDX-License-Identifier: Apache-2.0 */
/* A cache that yields: pages are kept while there is room, and go when something else needs it.
 *
 * Nobody says how large the cache may be. It grows until use is half way from warning to degraded. From there on it
 * evicts as much as it takes in, and it evicts the coldest pages when a charge would not fit otherwise. A cache of a
 * fixed size is too small on a quiet day, and on a busy day its memory is missing elsewhere and the process is
 * killed. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>

enum {
    PAGE_BYTES = 4096,
    PAGES = 5000,
    LIMIT_BYTES = 10 << 20,       /* of this program, so that the cache fills it; 0 takes the kernel's limit */
    WORK_BYTES = LIMIT_BYTES / 2, /* does not fit beside a full cache */
};

/* Makes a page that is not in the cache: one thread does, the others that want it wait. */
static int render(void *context, const void *key, size_t key_size, hr_cache_loading *loading)
{
    char page[PAGE_BYTES] = {0};
    (void)context;
    memcpy(page, key, key_size);
    return hr_cache_supply(loading, page, sizeof page, 0);
}

int main(void)
{
    hr_guard *guard;
    hr_cache *pages;
    hr_guard_options guard_options = {.limit_bytes = LIMIT_BYTES};
    hr_cache_options options = {.name = "pages", .load = render, .ttl_ns = INT64_C(60000000000)};
    if (hr_guard_new(&guard_options, &guard) != 0 || hr_cache_new(guard, &options, &pages) != 0)
        return 1;
    hr_cache_figures full, after;
    for (int number = 0; number < PAGES; number++) {
        hr_cache_ref page;
        if (hr_cache_get(pages, &number, sizeof number, &page) != 0)
            return 1;
        hr_cache_release(pages, &page); /* after it was sent */
    }
    hr_cache_read(pages, &full);
    void *work = hr_alloc(hr_guard_root(guard), WORK_BYTES); /* the cache gives way */
    hr_cache_read(pages, &after);
    /* The limit was hit, so the level is up; it comes down a step at a time, when it has been quiet for a while. */
    printf("level %s: the cache had %.1f MiB, and has %.1f beside work of %d\n", hr_level_text(hr_guard_level(guard)),
           (double)full.bytes / (1 << 20), (double)after.bytes / (1 << 20), WORK_BYTES >> 20);
    hr_free(work);
    hr_cache_free(pages);
    hr_guard_free(guard);
    return 0;
}
