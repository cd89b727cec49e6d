/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: what nobody thought of. A random mixture of calls, of which run.py makes a storm of random parameters.
 *
 *     churn SEED SECONDS [PARAMETER=VALUE]...
 *
 * Threads take, resize, exchange and free blocks. All that is granted is touched, some of it late, and contents are
 * checked.
 *   threads   their number
 *   small, mid, large, huge   weights of sizes below 4 KiB, 128 KiB, 1 MiB, maxk KiB
 *   realloc, calloc, align, admit   per cent of calls
 *   cross     per cent of frees, by another thread
 *   late      per cent of touches
 *   own       MiB that nobody charged
 *   burst     1/N of the limit that nobody charged comes and goes
 *   fill      rounds of small blocks
 *   tuned     thresholds of 0.93 and 0.97
 *   interval  in ms, -1: no monitor
 *   reclaim   half of the blocks yield to relief
 *   pace      pauses of up to this many µs
 *
 * Right at the end: nothing is held, the level is normal within 8 s, and half of the limit is granted in one block. In
 * 8 MiB the program and the kernel's memory for it take 3.5 MiB; there it is 7/10 of the rest.
 */
#include "kills/churn_parameters.h"

#define SLOTS 20000
#define MAILBOXES 4096
#define YIELDING 65536
#define BUDGETS 3

/* At the start of each block. */
typedef struct head {
    uint32_t size;
    uint32_t mark;
    bool touched;
} head;

typedef struct worker {
    char **slots;
    size_t count;
    uint64_t state;
} worker;

static hr_guard *guard;
static hr_budget *budgets[BUDGETS];
static worker workers[THREADS_MAX];
static _Atomic(char *) mail[MAILBOXES];
static char *yielding[YIELDING];
static size_t yielding_count;
static pthread_mutex_t yielding_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop;
static atomic_long granted, refused, shed;
static uint64_t limit_bytes, seed;

/* True in `value(index)` of 100 cases. */
static bool chance(uint64_t *state, int index)
{
    return hrt_below(state, 100) < value(index);
}

/* ── blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void touch(char *block, size_t size, uint32_t mark)
{
    *(head *)(void *)block = (head){(uint32_t)size, mark, true};
    for (size_t i = 256; i < size; i += 1024)
        block[i] = (char)(mark + i);
    block[size - 1] = (char)(mark ^ 0x5a);
}

static void touch_late(char *block)
{
    head *start = (head *)(void *)block;
    if (!start->touched)
        touch(block, start->size, start->mark);
}

static void check(const char *block)
{
    const head *start = (const head *)(const void *)block;
    if (!start->touched)
        return;
    for (size_t i = 256; i < start->size; i += 1024) {
        if (i != start->size - 1 && block[i] != (char)(start->mark + i))
            hrt_end(HRT_WRONG, "corrupt contents");
    }
    if (block[start->size - 1] != (char)(start->mark ^ 0x5a))
        hrt_end(HRT_WRONG, "a corrupt last byte");
}

static void release(char *block)
{
    if (block) {
        check(block);
        hr_free(block);
    }
}

static void drop(worker *self, size_t i)
{
    release(self->slots[i]);
    self->slots[i] = self->slots[--self->count];
}

static size_t pick_size(uint64_t *state)
{
    size_t kind = hrt_below(state, value(SMALL) + value(MID) + value(LARGE) + value(HUGE));
    if (kind < value(SMALL))
        return 32 + hrt_below(state, 4096 - 32);
    kind -= value(SMALL);
    if (kind < value(MID))
        return 4096 + hrt_below(state, 124 * KIB);
    kind -= value(MID);
    if (kind < value(LARGE))
        return 128 * KIB + hrt_below(state, 900 * KIB);
    return MIB + hrt_below(state, value(MAXK) * KIB - MIB);
}

/* ── what yields ────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool let_yield(char *block)
{
    touch_late(block);
    pthread_mutex_lock(&yielding_lock);
    bool taken = yielding_count < YIELDING;
    if (taken)
        yielding[yielding_count++] = block;
    pthread_mutex_unlock(&yielding_lock);
    return taken;
}

static uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context;
    (void)deadline_ns;
    uint64_t freed = 0;
    while (freed < want_bytes) {
        pthread_mutex_lock(&yielding_lock);
        char *block = yielding_count ? yielding[--yielding_count] : NULL;
        pthread_mutex_unlock(&yielding_lock);
        if (!block)
            break;
        freed += hr_alloc_size(block);
        release(block);
    }
    return freed;
}

/* ── what the threads do ────────────────────────────────────────────────────────────────────────────────────────── */

/* After a refusal: empties some mailboxes, drops some blocks, and sometimes waits. */
static void make_room(worker *self)
{
    refused++;
    if (errno != EDQUOT && errno != ENOMEM)
        hrt_end(HRT_WRONG, "a refusal with another errno");
    for (size_t n = hrt_below(&self->state, 400); n > 0; n--)
        release(atomic_exchange(&mail[hrt_below(&self->state, MAILBOXES)], NULL));
    for (size_t n = self->count * hrt_below(&self->state, 60) / 100 + 1; n > 0 && self->count > 0; n--)
        drop(self, hrt_below(&self->state, self->count));
    if (hrt_below(&self->state, 4) == 0)
        usleep((useconds_t)hrt_below(&self->state, 3000));
}

/* Small blocks until one is refused or a share of the limit is held, then all of them are freed. */
static void fill(worker *self, hr_budget *budget)
{
    char *first = NULL, *block;
    size_t size = 16 + hrt_below(&self->state, hrt_below(&self->state, 2) ? 80 : 2000), held = 0;
    size_t most = limit_bytes * hrt_below(&self->state, 100) / 100;
    bool vary = hrt_below(&self->state, 2);
    while (!stop && held < most && (block = hr_alloc(budget, size)) != NULL) {
        memset(block, 1, size);
        *(char **)(void *)block = first;
        first = block;
        held += size;
        granted++;
        if (vary)
            size = 16 + hrt_below(&self->state, 2000);
    }
    while ((block = first) != NULL) {
        first = *(char **)(void *)block;
        hr_free(block);
    }
}

static void resize(worker *self, hr_budget *budget)
{
    uint64_t *state = &self->state;
    size_t i = hrt_below(state, self->count);
    head start = *(head *)(void *)self->slots[i];
    check(self->slots[i]);
    size_t size = hrt_below(state, 2) ? start.size + hrt_below(state, start.size + 64) : pick_size(state);
    if (size > value(MAXK) * KIB)
        size = value(MAXK) * KIB;
    char *block = hr_realloc(budget, self->slots[i], size);
    if (!block) {
        make_room(self);
        return;
    }
    granted++;
    touch(block, size, start.mark);
    self->slots[i] = block;
}

/* Frees a block, or exchanges it for a block of another thread, which is freed. */
static void give_back(worker *self)
{
    size_t i = hrt_below(&self->state, self->count);
    if (!chance(&self->state, CROSS)) {
        drop(self, i);
        return;
    }
    char *block = self->slots[i];
    self->slots[i] = self->slots[--self->count];
    release(atomic_exchange(&mail[hrt_below(&self->state, MAILBOXES)], block));
}

static char *take(worker *self, hr_budget *budget, size_t size)
{
    uint64_t *state = &self->state;
    if (chance(state, ADMIT)) {
        hr_ticket ticket;
        hr_request request = {.bytes = size + 4096,
                              .priority = (uint8_t)hrt_below(state, 256),
                              .budget = budget,
                              .key = hrt_random(state)};
        if (hr_admit(guard, &request, &ticket) != HR_ADMITTED) {
            shed++;
            return NULL;
        }
        char *block = hr_ticket_alloc(&ticket, size);
        hr_ticket_release(&ticket);
        return block;
    }
    size_t how = hrt_below(state, 100);
    char *block;
    if (how < value(CALLOC))
        block = hr_calloc(budget, 1, size);
    else if (how < value(CALLOC) + value(ALIGN))
        block = hr_alloc_aligned(budget, (size_t)16 << hrt_below(state, 10), size);
    else
        block = hr_alloc(budget, size);
    if (!block)
        make_room(self);
    return block;
}

static void *work(void *number)
{
    worker *self = &workers[(uintptr_t)number];
    uint64_t *state = &self->state;
    while (!stop) {
        hr_budget *budget = budgets[hrt_below(state, BUDGETS)];
        size_t kind = hrt_below(state, 100);
        if (value(PACE) && hrt_below(state, 64) == 0)
            usleep((useconds_t)hrt_below(state, value(PACE)));
        if (value(FILL) && hrt_below(state, 2000) == 0) {
            fill(self, budget);
        } else if (kind < value(REALLOC) && self->count > 0) {
            resize(self, budget);
        } else if (kind < value(REALLOC) + 35 && self->count > 0) {
            give_back(self);
        } else if (value(LATE) && self->count > 0 && hrt_below(state, 10) == 0) {
            touch_late(self->slots[hrt_below(state, self->count)]);
        } else if (self->count >= SLOTS) {
            while (self->count > SLOTS / 2)
                drop(self, hrt_below(state, self->count));
        } else {
            size_t size = pick_size(state);
            char *block = take(self, budget, size);
            if (!block)
                continue;
            granted++;
            *(head *)(void *)block = (head){(uint32_t)size, (uint32_t)hrt_random(state), false};
            if (!chance(state, LATE))
                touch_late(block);
            if (!value(RECLAIM) || hrt_below(state, 2) || !let_yield(block))
                self->slots[self->count++] = block;
        }
    }
    for (size_t i = 0; i < self->count; i++)
        touch_late(self->slots[i]);
    while (self->count)
        drop(self, self->count - 1);
    return NULL;
}

/* Memory that nobody charged comes and goes, in steps of a page to half a MiB. */
static void *burst(void *unused)
{
    uint64_t state = hrt_seeded(seed, 1000);
    size_t size = limit_bytes / value(BURST);
    while (!stop) {
        char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        HRT_MUST(pages != MAP_FAILED);
        size_t step = (size_t)4096 << hrt_below(&state, 8);
        for (size_t i = 0; i < size && !stop; i += step) {
            memset(pages + i, 1, i + step < size ? step : size - i);
            if (value(PACE))
                usleep((useconds_t)hrt_below(&state, value(PACE)));
        }
        usleep((useconds_t)hrt_below(&state, 200000));
        munmap(pages, size);
        usleep((useconds_t)hrt_below(&state, 200000));
    }
    return unused;
}

/* ── the whole ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void make_guard(void)
{
    long interval_ms = parameters[INTERVAL].value;
    hr_guard_options options = {.interval_ns = interval_ms < 0 ? -1 : interval_ms * (SECOND / 1000)};
    if (value(TUNED)) {
        options.warn_at = .93;
        options.degrade_at = .97;
    }
    hr_figures figures;
    HRT_MUST(hr_guard_new(&options, &guard) == 0 && hr_guard_read(guard, &figures) == 0);
    limit_bytes = figures.limit_bytes;
    for (int i = 0; i < BUDGETS; i++)
        HRT_MUST(hr_budget_new(i ? budgets[i - 1] : hr_guard_root(guard), "b", HR_NONE, &budgets[i]) == 0);
}

/* The conditions that have to be true once everything was given back. */
static int judge(void)
{
    hr_budget_figures figures;
    HRT_MUST(hr_budget_read(budgets[0], &figures) == 0);
    if (figures.used_bytes) {
        printf("%" PRIu64 " bytes are charged, and nothing is held\n", figures.used_bytes);
        return HRT_WRONG;
    }
    if (hr_guard_wait(guard, HR_NORMAL, 8 * SECOND) != 0) {
        hrt_show(guard, "the level never came back");
        return HRT_LOCKED_IN;
    }
    hr_figures now;
    HRT_MUST(hr_guard_read(guard, &now) == 0);
    size_t half = limit_bytes / 2 - value(OWN) * MIB, rest = (limit_bytes - now.cgroup_bytes) / 10 * 7;
    half = half < rest ? half : rest;
    char *block = hr_alloc(budgets[0], half);
    if (!block) {
        hrt_show(guard, "half of the limit is refused");
        return HRT_REFUSED;
    }
    memset(block, 1, half);
    hr_free(block);
    return HRT_RIGHT;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX], bursts;
    hr_reclaimer reclaimer = {.name = "yielding", .reclaim = reclaim, .priority = 10};
    seed = (uint64_t)hrt_number(argc, argv, 1, 1);
    for (int i = 3; i < argc; i++)
        set_parameter(argv[i]);
    make_guard();
    if (value(OWN))
        hrt_own(value(OWN) * MIB);
    HRT_MUST(!value(RECLAIM) || hr_reclaimer_add(guard, &reclaimer) == 0);
    HRT_MUST(value(THREADS) <= THREADS_MAX);
    for (size_t i = 0; i < value(THREADS); i++) {
        void *slots = mmap(NULL, SLOTS * sizeof(char *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        HRT_MUST(slots != MAP_FAILED);
        workers[i] = (worker){.slots = slots, .state = hrt_seeded(seed, i)};
    }
    hrt_start(threads, (long)value(THREADS), work);
    HRT_MUST(!value(BURST) || pthread_create(&bursts, NULL, burst, NULL) == 0);
    usleep((useconds_t)hrt_number(argc, argv, 2, 4) * 1000000);
    stop = true;
    hrt_join(threads, (long)value(THREADS));
    if (value(BURST))
        pthread_join(bursts, NULL);
    for (int i = 0; i < MAILBOXES; i++)
        release(mail[i]);
    if (value(RECLAIM)) {
        reclaim(NULL, UINT64_MAX, 0);
        hr_reclaimer_remove(guard, &reclaimer);
    }
    int status = judge();
    printf("granted %ld, refused %ld, shed %ld\n", granted, refused, shed);
    for (int i = BUDGETS; i-- > 0;)
        HRT_MUST(hr_budget_free(budgets[i]) == 0);
    hr_guard_free(guard);
    return status;
}
