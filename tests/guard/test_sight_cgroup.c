/* SPDX-License-Identifier: Apache-2.0 */
/* Real cgroups whose figures change from outside: other processes, page cache, limits, ancestors. Each test would fail
 * for a guard that looks at its own memory alone, or at the kernel's raw usage. */
#include "support/caged.h"
#include "support/cmocka.h"

#include <fcntl.h>
#include <headroom/headroom.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (64 * MIB)
#define BLOCK (256 * 1024)
#define PATIENCE_NS INT64_C(10000000000)

/* The words that the processes of a test tell each other. */
static struct {
    atomic_int step; /* how far the play has come */
    atomic_int took; /* MiB that the neighbour holds */
} * stage;

static int set_up(void **state)
{
    hrt_caged_set_up(state);
    stage = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return stage == MAP_FAILED;
}

static int reset(void **state)
{
    (void)state;
    memset(stage, 0, sizeof *stage);
    return 0;
}

/* Waits until `condition` holds; false after PATIENCE_NS. */
#define EVENTUALLY(condition)                                                                                          \
    ({                                                                                                                 \
        int64_t left_ms = PATIENCE_NS / 1000000;                                                                       \
        while (!(condition) && left_ms-- > 0)                                                                          \
            usleep(1000);                                                                                              \
        left_ms > 0;                                                                                                   \
    })

static void reach(int step)
{
    atomic_store(&stage->step, step);
}

static bool await(int step)
{
    return EVENTUALLY(atomic_load(&stage->step) >= step);
}

static void assert_well(pid_t child, const hrt_cgroup *group)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(hrt_cgroup_oom_kills(group), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static hr_figures read_figures(hr_guard *guard)
{
    hr_figures figures = {0};
    hr_guard_read(guard, &figures);
    return figures;
}

/* ── a server with a cache ──────────────────────────────────────────────────────────────────────────────────────── */

static void *cached[LIMIT / BLOCK];
static unsigned cached_count;

static uint64_t evict(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)deadline_ns;
    uint64_t freed = 0;
    while (cached_count > 0 && freed < want_bytes) {
        freed += hr_alloc_size(cached[--cached_count]);
        hr_free(cached[cached_count]);
    }
    return freed;
}

/* Fills the cache until a level begins or a charge is refused. */
static uint64_t fill(hr_guard *guard)
{
    while (cached_count < sizeof cached / sizeof *cached && hr_guard_level(guard) == HR_NORMAL) {
        void *block = hr_alloc(hr_guard_root(guard), BLOCK);
        if (!block)
            break;
        cached[cached_count++] = memset(block, 1, BLOCK);
    }
    return (uint64_t)cached_count * BLOCK;
}

static uint64_t held(hr_guard *guard)
{
    return read_figures(guard).live_bytes;
}

/* Lives beside a neighbour who takes 60 % in steps and leaves again; the steps are the play's. */
static int serve_beside_a_neighbour(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_reclaimer node = {.name = "cache", .reclaim = evict};
    hr_guard_options options = {.dwell_ns = 100000000};
    HRT_CAGED_CHECK(hr_guard_new(&options, &guard) == 0);
    HRT_CAGED_CHECK(hr_reclaimer_add(guard, &node) == 0);
    uint64_t alone = fill(guard);
    HRT_CAGED_CHECK(alone > LIMIT / 2); /* else nobody would have to yield */
    reach(1);
    HRT_CAGED_CHECK(await(2)); /* the neighbour has all that it wants */
    HRT_CAGED_CHECK(EVENTUALLY(hr_guard_level(guard) <= HR_WARNING));
    HRT_CAGED_CHECK(held(guard) < LIMIT * 40 / 100);
    HRT_CAGED_CHECK(read_figures(guard).others_bytes > LIMIT * 55 / 100);
    hr_ticket ticket;
    HRT_CAGED_CHECK(hr_admit(guard, &(hr_request){.bytes = LIMIT / 2}, &ticket) != HR_ADMITTED);
    reach(3);
    HRT_CAGED_CHECK(await(4)); /* it has left */
    HRT_CAGED_CHECK(EVENTUALLY(hr_guard_level(guard) == HR_NORMAL));
    HRT_CAGED_CHECK(fill(guard) >= alone * 9 / 10);
    evict(NULL, UINT64_MAX, 0);
    hr_reclaimer_remove(guard, &node);
    hr_guard_free(guard);
    return 0;
}

static int take_60_per_cent(void *context)
{
    (void)context;
    HRT_CAGED_CHECK(await(1));
    size_t size = LIMIT * 60 / 100;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HRT_CAGED_CHECK(memory != MAP_FAILED);
    for (size_t i = 0; i < size; i += MIB / 4) { /* some 100 MB/s */
        memset(memory + i, 1, MIB / 4 < size - i ? MIB / 4 : size - i);
        usleep(2500);
    }
    reach(2);
    HRT_CAGED_CHECK(await(3));
    return 0;
}

static void a_neighbour_who_takes_60_per_cent_is_made_room_for(void **state)
{
    (void)state;
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("neighbour", LIMIT, &group), 0);
    pid_t server = hrt_cgroup_start(&group, serve_beside_a_neighbour, NULL);
    pid_t neighbour = hrt_cgroup_start(&group, take_60_per_cent, NULL);
    assert_well(neighbour, &group);
    reach(4);
    assert_well(server, &group);
    hrt_cgroup_free(&group);
}

/* The same, but the limit is the parent's, and the neighbour is in another group below it. */
static void a_parent_that_is_short_is_seen_from_inside(void **state)
{
    (void)state;
    hrt_cgroup parent, own, other;
    assert_int_equal(hrt_cgroup_new("parent", LIMIT, &parent), 0);
    assert_int_equal(hrt_cgroup_new_inside(&parent, "own", 4 * LIMIT, &own), 0);
    assert_int_equal(hrt_cgroup_new_inside(&parent, "other", UINT64_MAX, &other), 0);
    pid_t server = hrt_cgroup_start(&own, serve_beside_a_neighbour, NULL);
    pid_t neighbour = hrt_cgroup_start(&other, take_60_per_cent, NULL);
    assert_well(neighbour, &parent);
    reach(4);
    assert_well(server, &parent);
    hrt_cgroup_free(&other);
    hrt_cgroup_free(&own);
    hrt_cgroup_free(&parent);
}

/* ── page cache ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool has_disk(void)
{
    struct statfs temporary;
    bool memory =
        statfs("/tmp", &temporary) == 0 && (temporary.f_type == TMPFS_MAGIC || temporary.f_type == RAMFS_MAGIC);
    if (memory)
        print_message("skipped: /tmp is memory here, and has no page cache that could be given back\n");
    return !memory;
}

/* Writes more than the limit into the page cache; dirty: without waiting for the disk. */
static int fill_page_cache(void *context)
{
    bool dirty = context != NULL;
    static char block[MIB];
    char path[] = "/tmp/headroom-cache-XXXXXX";
    HRT_CAGED_CHECK(await(1));
    int fd = mkstemp(path);
    HRT_CAGED_CHECK(fd >= 0 && unlink(path) == 0);
    for (uint64_t i = 0; i < (dirty ? LIMIT / 2 : 2 * LIMIT) / sizeof block; i++)
        HRT_CAGED_CHECK(write(fd, block, sizeof block) == sizeof block);
    HRT_CAGED_CHECK(dirty || (fdatasync(fd) == 0 && lseek(fd, 0, SEEK_SET) == 0));
    while (!dirty && read(fd, block, sizeof block) > 0) /* and again, so that it is active */
        ;
    reach(2);
    HRT_CAGED_CHECK(await(3));
    close(fd);
    return 0;
}

static int stay_normal_beside_page_cache(void *context)
{
    bool dirty = context != NULL;
    hr_guard *guard;
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    hr_budget *root = hr_guard_root(guard);
    char *block = hr_alloc(root, 16 * MIB);
    HRT_CAGED_CHECK(block != NULL);
    memset(block, 1, 16 * MIB);
    reach(1);
    while (atomic_load(&stage->step) < 2) {
        HRT_CAGED_CHECK(hr_guard_check(guard) == HR_NORMAL);
        usleep(1000);
    }
    HRT_CAGED_CHECK(hr_guard_check(guard) == HR_NORMAL);
    hr_figures figures = read_figures(guard);
    HRT_CAGED_CHECK(figures.cgroup_cache_bytes > LIMIT / 4);
    HRT_CAGED_CHECK(figures.cgroup_bytes < LIMIT / 2);
    hr_ticket ticket;
    /* Of what cannot be dropped at once nothing is granted, and nobody is killed for it. A fast disk has written it by
     * now. */
    if (dirty && figures.dirty_bytes > LIMIT / 4) {
        HRT_CAGED_CHECK(figures.lease_bytes < LIMIT - 16 * MIB - figures.dirty_bytes);
    }
    uint64_t bytes = dirty ? 2 * MIB : 16 * MIB;
    HRT_CAGED_CHECK(hr_admit(guard, &(hr_request){.bytes = bytes}, &ticket) == HR_ADMITTED);
    char *more = hr_ticket_alloc(&ticket, bytes - MIB); /* and the kernel does give it */
    HRT_CAGED_CHECK(more != NULL);
    memset(more, 1, bytes - MIB);
    hr_free(more);
    hr_ticket_release(&ticket);
    reach(3);
    hr_free(block);
    hr_guard_free(guard);
    return 0;
}

static void play_beside_page_cache(void *dirty)
{
    if (!has_disk())
        skip();
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("cache", LIMIT, &group), 0);
    pid_t server = hrt_cgroup_start(&group, stay_normal_beside_page_cache, dirty);
    pid_t writer = hrt_cgroup_start(&group, fill_page_cache, dirty);
    assert_well(server, &group);
    assert_well(writer, &group);
    hrt_cgroup_free(&group);
}

/* Regression, lesson 1: a gate on memory.current latches near 1 and never opens again. */
static void page_cache_of_another_process_does_not_degrade(void **state)
{
    (void)state;
    play_beside_page_cache(NULL);
}

static void dirty_page_cache_does_not_degrade(void **state)
{
    (void)state;
    play_beside_page_cache(stage);
}

/* ── limits ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int follow_the_limit(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_reclaimer node = {.name = "cache", .reclaim = evict};
    hr_guard_options options = {.dwell_ns = 100000000, .interval_ns = 100000000};
    HRT_CAGED_CHECK(hr_guard_new(&options, &guard) == 0);
    HRT_CAGED_CHECK(hr_reclaimer_add(guard, &node) == 0);
    fill(guard);
    HRT_CAGED_CHECK(read_figures(guard).limit_bytes == LIMIT);
    evict(NULL, held(guard) / 2, 0); /* the kernel refuses a limit below what is in use */
    reach(1);
    HRT_CAGED_CHECK(await(2));
    HRT_CAGED_CHECK(EVENTUALLY(read_figures(guard).limit_bytes == LIMIT * 3 / 4));
    HRT_CAGED_CHECK(EVENTUALLY(hr_guard_level(guard) == HR_NORMAL));
    HRT_CAGED_CHECK(fill(guard) <= LIMIT * 3 / 4);
    reach(3);
    HRT_CAGED_CHECK(await(4));
    HRT_CAGED_CHECK(EVENTUALLY(read_figures(guard).limit_bytes == 2 * LIMIT));
    HRT_CAGED_CHECK(EVENTUALLY(hr_guard_level(guard) == HR_NORMAL));
    HRT_CAGED_CHECK(fill(guard) == sizeof cached / sizeof *cached * BLOCK); /* more than ever fitted before */
    evict(NULL, UINT64_MAX, 0);
    hr_reclaimer_remove(guard, &node);
    hr_guard_free(guard);
    return 0;
}

static void a_limit_that_changes_is_followed_both_ways(void **state)
{
    (void)state;
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("resize", LIMIT, &group), 0);
    pid_t server = hrt_cgroup_start(&group, follow_the_limit, NULL);
    assert_true(await(1));
    assert_true(EVENTUALLY(hrt_cgroup_set_limit(&group, LIMIT * 3 / 4) == 0));
    reach(2);
    assert_true(await(3));
    assert_int_equal(hrt_cgroup_set_limit(&group, 2 * LIMIT), 0);
    reach(4);
    assert_well(server, &group);
    hrt_cgroup_free(&group);
}

/* ── forks ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int take_half(hr_guard *guard)
{
    hr_figures before = read_figures(guard);
    char *memory = malloc(LIMIT / 2);
    HRT_CAGED_CHECK(memory != NULL);
    memset(memory, 1, LIMIT / 2);
    hr_guard_check(guard); /* the child's own */
    HRT_CAGED_CHECK(read_figures(guard).rss_bytes >= before.rss_bytes / 2 + LIMIT / 2);
    HRT_CAGED_CHECK(read_figures(guard).others_bytes >= LIMIT / 2 - MIB);
    reach(1);
    HRT_CAGED_CHECK(await(2));
    free(memory);
    return 0;
}

static int see_the_child(void *context)
{
    (void)context;
    hr_guard *guard;
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(take_half(guard));
    HRT_CAGED_CHECK(child > 0);
    HRT_CAGED_CHECK(await(1));
    HRT_CAGED_CHECK(hr_guard_check(guard) <= HR_WARNING);
    HRT_CAGED_CHECK(read_figures(guard).others_bytes >= LIMIT / 2 - MIB);
    HRT_CAGED_CHECK(hr_budget_charge(hr_guard_root(guard), LIMIT * 6 / 10) != 0); /* the child has it */
    reach(2);
    int status;
    HRT_CAGED_CHECK(waitpid(child, &status, 0) == child);
    HRT_CAGED_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    HRT_CAGED_CHECK(hr_budget_charge(hr_guard_root(guard), LIMIT * 6 / 10) == 0);
    hr_budget_uncharge(hr_guard_root(guard), LIMIT * 6 / 10);
    hr_guard_free(guard);
    return 0;
}

static void a_forked_childs_memory_is_seen_and_its_guard_sees(void **state)
{
    (void)state;
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("fork", LIMIT, &group), 0);
    assert_well(hrt_cgroup_start(&group, see_the_child, NULL), &group);
    hrt_cgroup_free(&group);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_neighbour_who_takes_60_per_cent_is_made_room_for),
        TEST(a_parent_that_is_short_is_seen_from_inside),
        TEST(page_cache_of_another_process_does_not_degrade),
        TEST(dirty_page_cache_does_not_degrade),
        TEST(a_limit_that_changes_is_followed_both_ways),
        TEST(a_forked_childs_memory_is_seen_and_its_guard_sees),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
