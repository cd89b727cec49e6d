/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a guarded process is starved by the others of its group, which hold memory that they could give back.
 *
 *     fair PROCESSES idle|evictable [mixed]      in 64 MiB
 *
 * All processes but one fill the group. With "evictable" they keep their blocks, which a reclaimer frees on demand;
 * with "idle" they free all of them, so that what is left is memory that their allocator retains. Then the last
 * process starts and wants the limit / (4 × PROCESSES) in blocks of 64 KiB. With "mixed" each is of another kind
 * (company.h).
 * Right: it has them within a second of its first charge, and nothing is killed.
 */
#include "kills/company.h"

#define BLOCK (64 * KIB)
#define BLOCKS_MAX 4096

/* Shared by all processes. */
typedef struct board {
    atomic_long full; /* how many have filled up */
    size_t want_bytes;
} board;

static board *common;
static bool evictable;
static char *blocks[BLOCKS_MAX];
static size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context;
    (void)deadline_ns;
    uint64_t freed = 0;
    pthread_mutex_lock(&lock);
    for (; freed < want_bytes && count > 0; freed += BLOCK)
        hr_free(blocks[--count]);
    pthread_mutex_unlock(&lock);
    return freed;
}

/* Takes blocks until one is refused, then waits with what it has. */
static int hold(long number)
{
    (void)number;
    static hr_reclaimer reclaimer = {.name = "evictable", .reclaim = reclaim, .priority = 10};
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    char *block;
    while (count < BLOCKS_MAX && (block = hr_alloc(budget, BLOCK)) != NULL)
        blocks[count++] = memset(block, 1, BLOCK);
    if (evictable)
        HRT_MUST(hr_reclaimer_add(guard, &reclaimer) == 0);
    else
        reclaim(NULL, UINT64_MAX, 0);
    common->full++;
    for (;;)
        pause();
    return HRT_WRONG;
}

static int want(long number)
{
    (void)number;
    size_t held = 0;
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    int64_t start_ns = hrt_now_ns();
    while (held < common->want_bytes && hrt_now_ns() - start_ns < SECOND) {
        char *block = hr_alloc(budget, BLOCK);
        if (!block) {
            usleep(1000);
            continue;
        }
        memset(block, 1, BLOCK);
        held += BLOCK;
    }
    hrt_show(guard, "end");
    printf("%.2f of %.2f MiB after %.3f s\n", hrt_mib(held), hrt_mib(common->want_bytes),
           (double)(hrt_now_ns() - start_ns) / 1e9);
    return held >= common->want_bytes ? HRT_RIGHT : HRT_REFUSED;
}

int main(int argc, char **argv)
{
    long others = hrt_number(argc, argv, 1, 4) - 1;
    pid_t company[COMPANY_MAX];
    bool mixed = argc > 3;
    int status;
    evictable = argc > 2 && strcmp(argv[2], "evictable") == 0;
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    HRT_MUST(common != MAP_FAILED && others >= 1 && others < COMPANY_MAX);
    hr_guard *guard;
    hr_figures figures;
    HRT_MUST(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard) == 0 && hr_guard_read(guard, &figures) == 0);
    hr_guard_free(guard);
    common->want_bytes = figures.limit_bytes / (4 * (size_t)(others + 1));
    for (long i = 0; i < others; i++)
        company[i] = hrt_join_company(mixed ? (hrt_kind)(i % HRT_KINDS) : HRT_PLAIN, hold, i);
    while (common->full < others) {
        if (waitpid(-1, &status, WNOHANG) > 0)
            hrt_end(HRT_WRONG, "a process that holds memory ended");
        usleep(10000);
    }
    sleep(1);
    pid_t last = hrt_join_company(mixed ? (hrt_kind)(others % HRT_KINDS) : HRT_PLAIN, want, others);
    HRT_MUST(waitpid(last, &status, 0) == last);
    for (long i = 0; i < others; i++) {
        kill(company[i], SIGKILL);
        waitpid(company[i], NULL, 0);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : HRT_WRONG;
}
