/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is granted and touched later, in real cgroups: beside memory of the program's own, and while other
 * threads take and give back. Granted bytes can be touched. All but tickets were killed by the kernel for it. */
#include "support/caged.h"
#include "support/cmocka.h"

#include <headroom/headroom.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIMIT (64 * MIB)
#define OWN (20 * MIB)
#define LEFT_MIN (32 * MIB) /* of the rest, to those who ask in pieces of up to 4 MiB */
#define BLOCKS 8192

static hr_guard *guard;
static hr_budget *budget;

static bool take_own(void)
{
    void *pages = mmap(NULL, OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages != MAP_FAILED && memset(pages, 1, OWN);
}

static bool make_guard(void)
{
    return hr_guard_new(&(hr_guard_options){0}, &guard) == 0 &&
           hr_budget_new(hr_guard_root(guard), "late", HR_NONE, &budget) == 0;
}

/* ── whose pages come later ─────────────────────────────────────────────────────────────────────────────────────── */

typedef void *take_fn(size_t size);

/* Takes all that it is given before it touches any of it. */
static int touch_late(take_fn *take, size_t size)
{
    static char *blocks[BLOCKS];
    size_t count = 0;
    while (count < BLOCKS && (blocks[count] = take(size)) != NULL)
        count++;
    if (count * size < LEFT_MIN)
        print_error("%zu of %zu bytes\n", count, size);
    HRT_CAGED_CHECK(count * size >= LEFT_MIN);
    HRT_CAGED_CHECK(count * size <= LIMIT - OWN);
    for (size_t i = 0; i < count; i++)
        memset(blocks[i], 1, size);
    return 0;
}

static void *take_block(size_t size)
{
    return hr_alloc(budget, size);
}

static void *take_zeros(size_t size)
{
    return hr_calloc(budget, 1, size);
}

static void *take_grown(size_t size)
{
    void *block = hr_alloc(budget, size / 2);
    void *grown = block ? hr_realloc(budget, block, size) : NULL;
    if (!grown)
        hr_free(block);
    return grown;
}

static int take_blocks(void *context)
{
    (void)context;
    HRT_CAGED_CHECK(take_own() && make_guard());
    return touch_late(take_block, MIB);
}

static int take_small_blocks(void *context)
{
    (void)context;
    HRT_CAGED_CHECK(make_guard() && take_own());
    return touch_late(take_block, 12000);
}

static int take_blocks_of_zeros(void *context)
{
    (void)context;
    HRT_CAGED_CHECK(take_own() && make_guard());
    return touch_late(take_zeros, 4 * MIB);
}

static int take_blocks_that_grow(void *context)
{
    (void)context;
    HRT_CAGED_CHECK(take_own() && make_guard());
    return touch_late(take_grown, 300000);
}

static hr_byte_pool *pool;

static void *take_buffer(size_t size)
{
    return hr_byte_pool_get(pool, size);
}

static int take_buffers_of(size_t pool_size, size_t size)
{
    HRT_CAGED_CHECK(take_own() && make_guard());
    hr_byte_pool_options options = {.budget = budget, .size_bytes = pool_size};
    HRT_CAGED_CHECK(hr_byte_pool_new(guard, &options, &pool) == 0);
    return touch_late(take_buffer, size);
}

static int take_buffers(void *context)
{
    (void)context;
    return take_buffers_of(16384, 16384);
}

static int take_buffers_beyond_the_largest(void *context)
{
    (void)context;
    return take_buffers_of(4096, 100000);
}

/* Half of the buffers go back to the kernel and come again, all of them untouched since. */
static int take_buffers_again(void *context)
{
    (void)context;
    static void *blocks[BLOCKS];
    size_t count = 0;
    HRT_CAGED_CHECK(take_own() && make_guard());
    hr_byte_pool_options options = {.budget = budget, .size_bytes = 65536};
    HRT_CAGED_CHECK(hr_byte_pool_new(guard, &options, &pool) == 0);
    for (; count < BLOCKS && (blocks[count] = hr_byte_pool_get(pool, 65536)) != NULL; count++)
        memset(blocks[count], 1, 65536);
    for (size_t i = 0; i < count / 2; i++)
        hr_byte_pool_put(pool, blocks[i]);
    hr_byte_pool_trim(pool); /* if the monitor was not there first */
    hr_pool_figures figures;
    HRT_CAGED_CHECK(hr_byte_pool_read(pool, &figures) == 0 && figures.trimmed >= count / 4);
    for (size_t i = 0; i < count / 2; i++)
        blocks[i] = hr_byte_pool_get(pool, 65536);
    HRT_CAGED_CHECK(!hr_byte_pool_get(pool, 8 * 65536));
    for (size_t i = 0; i < count / 2; i++)
        if (blocks[i])
            memset(blocks[i], 1, 65536);
    return 0;
}

static int spend_tickets(void *context)
{
    (void)context;
    static hr_ticket tickets[64];
    static char *blocks[64];
    size_t admitted = 0;
    HRT_CAGED_CHECK(take_own() && make_guard());
    while (admitted < 64 &&
           hr_admit(guard, &(hr_request){.bytes = 2 * MIB, .budget = budget}, &tickets[admitted]) == HR_ADMITTED)
        admitted++;
    HRT_CAGED_CHECK(admitted >= 10 && admitted * 2 * MIB <= LIMIT - OWN);
    for (size_t i = 0; i < admitted; i++)
        HRT_CAGED_CHECK((blocks[i] = hr_ticket_alloc(&tickets[i], 2 * MIB - 4096)) != NULL);
    while (hr_alloc(budget, 100000)) {} /* what is left */
    for (size_t i = 0; i < admitted; i++)
        memset(blocks[i], 1, 2 * MIB - 4096);
    return 0;
}

/* ── while others take and give back ────────────────────────────────────────────────────────────────────────────── */

static _Atomic bool stop;
static _Atomic unsigned long small_blocks, large_blocks;

/* Each thread fills an arena of its own until it is refused, and frees it. */
static void *take_and_free_small(void *context)
{
    unsigned seed = *(unsigned *)context;
    while (!stop) {
        void **first = NULL, **block;
        size_t size = 16;
        while (!stop && (block = hr_alloc(budget, size)) != NULL) {
            memset(block, 1, size);
            *block = first;
            first = block;
            small_blocks++;
            size = 16 + (size_t)rand_r(&seed) % 2000;
        }
        for (; (block = first) != NULL; hr_free(block))
            first = *block;
    }
    return NULL;
}

static void *take_and_free_large(void *context)
{
    unsigned seed = *(unsigned *)context;
    while (!stop) {
        size_t size = (1 + (size_t)rand_r(&seed) % 40) * MIB;
        void *block = hr_alloc(budget, size);
        if (block) {
            memset(block, 1, size);
            large_blocks++;
        }
        usleep((unsigned)rand_r(&seed) % 3000);
        hr_free(block);
    }
    return NULL;
}

static int take_and_free(unsigned small_threads, unsigned large_threads)
{
    pthread_t threads[8];
    unsigned seeds[8];
    HRT_CAGED_CHECK(make_guard());
    for (unsigned i = 0; i < small_threads + large_threads; i++) {
        seeds[i] = i + 1;
        HRT_CAGED_CHECK(pthread_create(&threads[i], NULL, i < small_threads ? take_and_free_small : take_and_free_large,
                                       &seeds[i]) == 0);
    }
    usleep(2000000);
    stop = true;
    for (unsigned i = 0; i < small_threads + large_threads; i++)
        pthread_join(threads[i], NULL);
    HRT_CAGED_CHECK(small_blocks > 0);
    HRT_CAGED_CHECK(large_threads == 0 || large_blocks > 0);
    return 0;
}

static int take_and_free_small_and_large(void *context)
{
    (void)context;
    return take_and_free(2, 1);
}

static int take_and_free_in_many_threads(void *context)
{
    (void)context;
    return take_and_free(8, 0);
}

#define TEST(play, name)                                                                                               \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        hrt_caged_survives("late", LIMIT, play);                                                                       \
    }

TEST(take_blocks, blocks_touched_late_fit_beside_memory_of_the_programs_own)
TEST(take_small_blocks, so_do_blocks_of_a_few_pages)
TEST(take_blocks_of_zeros, so_do_zeros)
TEST(take_blocks_that_grow, so_do_blocks_that_grew)
TEST(take_buffers, so_do_buffers_of_a_pool)
TEST(take_buffers_beyond_the_largest, so_do_buffers_beyond_a_pools_largest)
TEST(take_buffers_again, buffers_that_come_again_are_untouched_again)
TEST(spend_tickets, what_tickets_gave_is_there_when_it_is_touched)
TEST(take_and_free_small_and_large, a_large_block_is_touched_while_others_take_small_ones)
TEST(take_and_free_in_many_threads, what_one_thread_frees_is_not_granted_to_another_before_it_is_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_touched_late_fit_beside_memory_of_the_programs_own),
        cmocka_unit_test(so_do_blocks_of_a_few_pages),
        cmocka_unit_test(so_do_zeros),
        cmocka_unit_test(so_do_blocks_that_grew),
        cmocka_unit_test(so_do_buffers_of_a_pool),
        cmocka_unit_test(so_do_buffers_beyond_a_pools_largest),
        cmocka_unit_test(buffers_that_come_again_are_untouched_again),
        cmocka_unit_test(what_tickets_gave_is_there_when_it_is_touched),
        cmocka_unit_test(a_large_block_is_touched_while_others_take_small_ones),
        cmocka_unit_test(what_one_thread_frees_is_not_granted_to_another_before_it_is_back),
    };
    return cmocka_run_group_tests(tests, hrt_caged_set_up, NULL);
}
