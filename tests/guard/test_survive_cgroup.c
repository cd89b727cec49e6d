/* SPDX-License-Identifier: Apache-2.0 */
/* Real cgroups, real kills: what dies unguarded lives guarded, and holds nearly all that the kernel allows. */
#include "support/caged.h"
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (64 * MIB)
#define BLOCK (1 * MIB)

static void assert_survives(hrt_cgroup_function *function)
{
    hrt_caged_survives("survive", LIMIT, function);
}

static int keep_unguarded(void *context)
{
    (void)context;
    for (int i = 0; i < 1000; i++) {
        char *block = malloc(BLOCK);
        if (!block)
            return 2;
        memset(block, 1, BLOCK);
        __asm__ volatile("" : : "r"(block) : "memory");
    }
    return 0;
}

static void unguarded_is_killed(void **state)
{
    (void)state;
    uint64_t kills;
    int status = hrt_caged_run("survive", LIMIT, keep_unguarded, &kills);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(kills >= 1);
}

/* Takes and touches blocks until one is refused; gives how many there are. */
static unsigned fill(hr_budget *budget, void **blocks, unsigned most)
{
    unsigned count = 0;
    while (count < most && (blocks[count] = hr_alloc(budget, BLOCK)) != NULL)
        memset(blocks[count++], 1, BLOCK);
    return count;
}

static int keep_guarded(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_figures figures;
    static void *blocks[1000];
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    HRT_CAGED_CHECK(hr_guard_read(guard, &figures) == 0);
    HRT_CAGED_CHECK(figures.limit_bytes == LIMIT);
    HRT_CAGED_CHECK(strstr(figures.limit_source, "cgroup") != NULL);
    unsigned count = fill(hr_guard_root(guard), blocks, 1000);
    HRT_CAGED_CHECK(errno == EDQUOT);
    HRT_CAGED_CHECK(count < 64 && count * 100 >= 64 * 88); /* most of the limit is ours to hold */
    HRT_CAGED_CHECK(hr_guard_level(guard) == HR_CRITICAL);
    for (unsigned i = 0; i < count; i++)
        hr_free(blocks[i]);
    HRT_CAGED_CHECK(hr_guard_wait(guard, HR_NORMAL, INT64_C(5000000000)) == 0);
    hr_guard_free(guard);
    return 0;
}

/* Regression, strategies 1 and 2: the source reads only its runtime's heap, and is killed. */
static void source_2_kept_blocks_are_refused_not_killed(void **state)
{
    (void)state;
    assert_survives(keep_guarded);
}

static int loop_guarded(void *context)
{
    (void)context;
    hr_guard *guard;
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    for (int i = 0; i < 1000; i++) {
        HR_SCOPED_ALLOC char *block = hr_alloc(hr_guard_root(guard), BLOCK);
        HRT_CAGED_CHECK(block != NULL);
        memset(block, 1, BLOCK);
        HRT_CAGED_CHECK(hr_guard_level(guard) == HR_NORMAL);
    }
    hr_guard_free(guard);
    return 0;
}

static void source_2_a_thousand_blocks_in_turn_run_to_the_end(void **state)
{
    (void)state;
    assert_survives(loop_guarded);
}

static int others_take(void *context)
{
    (void)context;
    hr_guard *guard;
    static void *blocks[1000];
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    char *library = malloc(30 * MIB); /* a library that knows nothing of budgets */
    HRT_CAGED_CHECK(library != NULL);
    memset(library, 1, 30 * MIB);
    unsigned count = fill(hr_guard_root(guard), blocks, 1000);
    HRT_CAGED_CHECK(count < 34 && count >= 24);
    free(library);
    unsigned more = fill(hr_guard_root(guard), blocks + count, 1000); /* seen before the next refusal */
    HRT_CAGED_CHECK(count + more >= 56);
    for (unsigned i = 0; i < count + more; i++)
        hr_free(blocks[i]);
    hr_guard_free(guard);
    return 0;
}

static void what_a_library_takes_is_left_to_it(void **state)
{
    (void)state;
    assert_survives(others_take);
}

static int cache_fills_the_group(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_figures figures;
    char path[] = "/tmp/headroom-cache-XXXXXX";
    static char block[BLOCK];
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    int fd = mkstemp(path);
    HRT_CAGED_CHECK(fd >= 0 && unlink(path) == 0);
    for (int i = 0; i < 100; i++)
        HRT_CAGED_CHECK(write(fd, block, BLOCK) == (ssize_t)BLOCK);
    HRT_CAGED_CHECK(fdatasync(fd) == 0); /* dirty pages cannot be dropped at once, and do count */
    HRT_CAGED_CHECK(hr_guard_check(guard) == HR_NORMAL);
    HRT_CAGED_CHECK(hr_guard_read(guard, &figures) == 0);
    HRT_CAGED_CHECK(figures.cgroup_bytes < LIMIT / 2);
    HRT_CAGED_CHECK(figures.cgroup_cache_bytes > LIMIT / 4);
    hr_ticket ticket;
    HRT_CAGED_CHECK(hr_admit(guard, &(hr_request){.bytes = 16 * MIB}, &ticket) == HR_ADMITTED);
    hr_ticket_release(&ticket);
    close(fd);
    hr_guard_free(guard);
    return 0;
}

static void page_cache_does_not_close_the_gate(void **state)
{
    (void)state;
    struct statfs temporary;
    assert_int_equal(statfs("/tmp", &temporary), 0);
    if (temporary.f_type == TMPFS_MAGIC || temporary.f_type == RAMFS_MAGIC) {
        print_message("skipped: /tmp is memory here, and has no page cache that could be given back\n");
        skip();
    }
    assert_survives(cache_fills_the_group);
}

static int find_parents_limit(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_figures figures;
    HRT_CAGED_CHECK(hr_guard_new(NULL, &guard) == 0);
    HRT_CAGED_CHECK(hr_guard_read(guard, &figures) == 0);
    HRT_CAGED_CHECK(figures.limit_bytes == LIMIT);
    hr_guard_free(guard);
    return 0;
}

static void the_limit_of_an_ancestor_is_found(void **state)
{
    (void)state;
    hrt_cgroup parent, child;
    assert_int_equal(hrt_cgroup_new("parent", LIMIT, &parent), 0);
    assert_int_equal(hrt_cgroup_new_inside(&parent, "child", UINT64_MAX, &child), 0);
    int status = hrt_cgroup_run(&child, find_parents_limit, NULL);
    hrt_cgroup_free(&child);
    hrt_cgroup_free(&parent);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unguarded_is_killed),
        cmocka_unit_test(source_2_kept_blocks_are_refused_not_killed),
        cmocka_unit_test(source_2_a_thousand_blocks_in_turn_run_to_the_end),
        cmocka_unit_test(what_a_library_takes_is_left_to_it),
        cmocka_unit_test(page_cache_does_not_close_the_gate),
        cmocka_unit_test(the_limit_of_an_ancestor_is_found),
    };
    return cmocka_run_group_tests(tests, hrt_caged_set_up, NULL);
}
