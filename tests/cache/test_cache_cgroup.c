/* SPDX-License-Identifier: Apache-2.0 */
/* A server with a cache in a real cgroup, in which something else takes memory that nobody charges. The cache must
 * shrink, the server must live, and the cache must fill again when that memory is free. */
#include "support/cgroup.h"
#include "support/cmocka.h"

#include <headroom/cache.h>
#include <headroom/guard.h>
#include <headroom/report.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_BYTES (96 * MIB)
#define HOG_BYTES (48 * MIB)
#define VALUE_BYTES 4000
#define KEYS 100000u

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Serves requests for so long: what is not cached is made and put. Gives the cache's bytes. */
static uint64_t serve(hr_cache *cache, int64_t ms)
{
    static char value[VALUE_BYTES];
    static unsigned next;
    for (int64_t end_ms = now_ms() + ms; now_ms() < end_ms;) {
        for (unsigned i = 0; i < 50; i++) {
            unsigned key = next++ % KEYS;
            hr_cache_ref ref;
            if (hr_cache_get(cache, &key, sizeof key, &ref) == 0)
                hr_cache_release(cache, &ref);
            else
                (void)!hr_cache_put(cache, &key, sizeof key, value, sizeof value, 0);
        }
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    hr_cache_figures figures;
    hr_cache_read(cache, &figures);
    return figures.bytes;
}

/* Serves until the cache has `bytes`, 20 s at the longest. */
static bool fills(hr_cache *cache, uint64_t bytes)
{
    for (int64_t end_ms = now_ms() + 20000; now_ms() < end_ms;)
        if (serve(cache, 100) >= bytes)
            return true;
    return false;
}

/* Takes what the cache has to give up, a little at a time, as a program does. */
static void *hog(hr_cache *cache)
{
    char *memory = mmap(NULL, HOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; memory != MAP_FAILED && at < HOG_BYTES; at += MIB / 4) {
        memset(memory + at, 1, MIB / 4);
        serve(cache, 2);
    }
    return memory == MAP_FAILED ? NULL : memory;
}

#define SAY_AND_FAIL(text) (fprintf(stderr, "%s\n", text), 1)

static int live(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_cache *cache;
    if (hr_guard_new(NULL, &guard) != 0 || hr_cache_new(guard, NULL, &cache) != 0)
        return SAY_AND_FAIL("no guard or cache");
    if (!fills(cache, LIMIT_BYTES * 6 / 10))
        return SAY_AND_FAIL("it did not fill");
    uint64_t full = serve(cache, 1000);
    void *memory = hog(cache);
    if (!memory)
        return SAY_AND_FAIL("no memory to take");
    uint64_t squeezed = serve(cache, 2000);
    munmap(memory, HOG_BYTES);
    bool again = fills(cache, full * 9 / 10);
    hr_cache_figures figures;
    hr_cache_read(cache, &figures);
    fprintf(stderr, "full %.1f MiB, squeezed %.1f MiB, again %.1f MiB; evicted %llu for relief, %llu for the level\n",
            (double)full / MIB, (double)squeezed / MIB, (double)figures.bytes / MIB,
            (unsigned long long)figures.evicted_relief, (unsigned long long)figures.evicted_level);
    if (squeezed > LIMIT_BYTES - HOG_BYTES)
        return SAY_AND_FAIL("it did not shrink");
    if (squeezed == 0)
        return SAY_AND_FAIL("it was emptied");
    if (!again) {
        (void)!hr_report_write(guard, HR_TEXT, STDERR_FILENO); /* why */
        return SAY_AND_FAIL("it did not fill again");
    }
    int error = hr_cache_free(cache);
    hr_guard_free(guard);
    return error ? SAY_AND_FAIL("it could not be freed") : 0;
}

/* Puts many more values than fit, each of which is a mapping of its own. They are back with the kernel once they are
 * evicted, so a thread that is short of room need not purge for them. */
static int turn_over_large_values(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_cache *cache;
    hr_figures figures;
    if (hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard) != 0 || hr_cache_new(guard, NULL, &cache) != 0)
        return SAY_AND_FAIL("no guard or cache");
    char *value = calloc(1, MIB);
    unsigned put = 0;
    for (unsigned key = 0; value && key < 1000; key++) {
        put += hr_cache_put(cache, &key, sizeof key, value, MIB, 0) >= 0;
        if (key % 4 == 0)
            hr_free(hr_alloc(hr_guard_root(guard), 20 * MIB)); /* a request beside it */
    }
    free(value);
    int error = hr_guard_read(guard, &figures);
    fprintf(stderr, "%u put, %llu purges\n", put, (unsigned long long)figures.purges);
    if (put < 900)
        return SAY_AND_FAIL("values were not taken in");
    if (error || figures.purges > 25) /* one in 40 puts: the ordinary rate, on a slow machine */
        return SAY_AND_FAIL("it was purged for nothing");
    if (hr_cache_free(cache) != 0)
        return SAY_AND_FAIL("it could not be freed");
    char *memory = mmap(NULL, 20 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return SAY_AND_FAIL("no memory to take");
    memset(memory, 1, 20 * MIB);
    hr_guard_check(guard);
    if (hr_guard_read(guard, &figures) != 0 || figures.others_bytes < 19 * MIB)
        return SAY_AND_FAIL("what others take passes for what was evicted");
    hr_guard_free(guard);
    return 0;
}

static void run_in_group(hrt_cgroup_function *play)
{
    char reason[HRT_REASON];
    if (!hrt_cgroup_available(reason)) {
        print_message("no cgroup: %s\n", reason);
        skip();
    }
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("cache", LIMIT_BYTES, &group), 0);
    int status = hrt_cgroup_run(&group, play, NULL);
    uint64_t kills = hrt_cgroup_oom_kills(&group);
    hrt_cgroup_free(&group);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(kills == 0 || kills == UINT64_MAX);
}

static void shrinks_lives_and_fills_again(void **state)
{
    (void)state;
    run_in_group(live);
}

static void large_values_that_are_evicted_are_not_purged_for(void **state)
{
    (void)state;
    run_in_group(turn_over_large_values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shrinks_lives_and_fills_again),
        cmocka_unit_test(large_values_that_are_evicted_are_not_purged_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
