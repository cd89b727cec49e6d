/* SPDX-License-Identifier: Apache-2.0 */
/* A cache that yields: pages are kept while there is room, and go when something else needs it. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES 4096

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
    hr_guard_options guard_options = {.limit_bytes = 10 << 20}; /* 0: what the kernel allows */
    hr_cache_options options = {.name = "pages", .load = render, .ttl_ns = 60000000000};
    if (hr_guard_new(&guard_options, &guard) != 0 || hr_cache_new(guard, &options, &pages) != 0)
        return 1;
    hr_cache_figures full, after;
    for (int number = 0; number < 5000; number++) {
        hr_cache_ref page;
        if (hr_cache_get(pages, &number, sizeof number, &page) != 0)
            return 1;
        hr_cache_release(pages, &page); /* after it was sent */
    }
    hr_cache_read(pages, &full);
    void *work = hr_alloc(hr_guard_root(guard), 5 << 20); /* does not fit beside it: the cache gives way */
    hr_cache_read(pages, &after);
    /* The limit was met, so the level is up; it comes down a step at a time, when it has been quiet for a while. */
    printf("level %s: the cache had %.1f MiB, and has %.1f beside work of 5\n", hr_level_text(hr_guard_level(guard)),
           (double)full.bytes / (1 << 20), (double)after.bytes / (1 << 20));
    hr_free(work);
    hr_cache_free(pages);
    hr_guard_free(guard);
    return 0;
}
