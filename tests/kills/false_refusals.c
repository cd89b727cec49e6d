/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a call of any kind is refused while three quarters of the limit are free.
 *
 *     false_refusals KIND THREADS KIB SECONDS [INTERVAL_MS [OWN_MIB]]      in 64 MiB
 *
 * Threads take half to all of KIB by one kind of call and give it back, so that at most THREADS × KIB are held.
 * Choose them so that this and OWN_MIB are no more than a quarter of the limit.
 * Right: no refusal.
 */
#include "kills/kills.h"

typedef bool take_fn(size_t size);

typedef struct kind {
    const char *name;
    take_fn *take; /* takes and gives back; false if it was refused */
} kind;

static hr_guard *guard;
static hr_budget *budget, *other;
static hr_byte_pool *pool;
static const kind *chosen;
static atomic_bool stop;
static atomic_long granted, refused;
static size_t size_most;

static bool take_try(size_t size)
{
    if (hr_budget_try_charge(budget, size) != 0)
        return false;
    hr_budget_uncharge(budget, size);
    return true;
}

static bool take_charge(size_t size)
{
    if (hr_budget_charge(budget, size) != 0)
        return false;
    hr_budget_uncharge(budget, size);
    return true;
}

static bool take_wait(size_t size)
{
    if (hr_budget_charge_wait(budget, size, SECOND / 1000) != 0)
        return false;
    hr_budget_uncharge(budget, size);
    return true;
}

static bool take_transfer(size_t size)
{
    if (hr_budget_charge(budget, size) != 0)
        return false;
    bool moved = hr_budget_transfer(budget, other, size) == 0;
    hr_budget_uncharge(moved ? other : budget, size);
    return moved;
}

static bool take_admit(size_t size)
{
    hr_ticket ticket;
    bool admitted =
        hr_admit(guard, &(hr_request){.bytes = size, .budget = budget, .key = size}, &ticket) == HR_ADMITTED;
    hr_ticket_release(&ticket);
    return admitted;
}

static bool release(char *block, size_t touch)
{
    if (block)
        memset(block, 1, touch);
    hr_free(block);
    return block != NULL;
}

static bool take_alloc(size_t size)
{
    return release(hr_alloc(budget, size), 1);
}

static bool take_touch(size_t size)
{
    return release(hr_alloc(budget, size), size);
}

static bool take_calloc(size_t size)
{
    return release(hr_calloc(budget, 1, size), size);
}

static bool take_realloc(size_t size)
{
    char *block = hr_alloc(budget, size / 4), *larger = block ? hr_realloc(budget, block, size) : NULL;
    if (!larger)
        hr_free(block);
    return release(larger, size);
}

static bool take_pool(size_t size)
{
    char *block = hr_byte_pool_get(pool, size);
    if (!block)
        return false;
    memset(block, 1, size);
    hr_byte_pool_put(pool, block);
    return true;
}

static bool take_local(size_t size)
{
    hr_budget *local;
    HRT_MUST(hr_budget_new(budget, "local", HR_NONE, &local) == 0);
    bool charged = hr_budget_charge(local, size) == 0;
    if (charged)
        hr_budget_uncharge(local, size);
    HRT_MUST(hr_budget_free(local) == 0);
    return charged;
}

static const kind kinds[] = {
    {"try", take_try},     {"charge", take_charge}, {"wait", take_wait},       {"transfer", take_transfer},
    {"admit", take_admit}, {"alloc", take_alloc},   {"touch", take_touch},     {"calloc", take_calloc},
    {"pool", take_pool},   {"local", take_local},   {"realloc", take_realloc},
};

static void *work(void *number)
{
    uint64_t state = hrt_seeded(1, (uintptr_t)number);
    while (!stop) {
        if (chosen->take(size_most / 2 + hrt_below(&state, size_most / 2 + 1)))
            granted++;
        else
            refused++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = hrt_number(argc, argv, 2, 2), interval_ms = hrt_number(argc, argv, 5, 0);
    for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, argv[1]) == 0)
            chosen = &kinds[i];
    }
    HRT_MUST(chosen);
    size_most = (size_t)hrt_number(argc, argv, 3, 1024) * KIB;
    HRT_MUST(hr_guard_new(&(hr_guard_options){.interval_ns = interval_ms * (SECOND / 1000)}, &guard) == 0);
    HRT_MUST(hr_budget_new(hr_guard_root(guard), "b", HR_NONE, &budget) == 0);
    HRT_MUST(hr_budget_new(hr_guard_root(guard), "other", HR_NONE, &other) == 0);
    hr_byte_pool_options options = {.budget = budget, .min_bytes = 4096, .max_bytes = size_most};
    HRT_MUST(hr_byte_pool_new(guard, &options, &pool) == 0);
    hrt_own((size_t)hrt_number(argc, argv, 6, 0) * MIB);
    hrt_start(threads, count, work);
    usleep((useconds_t)hrt_number(argc, argv, 4, 2) * 1000000);
    stop = true;
    hrt_join(threads, count);
    hrt_show(guard, "end");
    printf("granted %ld, refused %ld\n", granted, refused);
    return granted > 0 && refused == 0 ? HRT_RIGHT : HRT_REFUSED;
}
