/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: guarded processes of one group that die, start late, run as another user or in other namespaces are
 * killed by the kernel. They do not know of each other's grants, or know of them no longer.
 *
 *     many PROCESSES SECONDS SEED [mixed] [together]      in 64 MiB
 *
 * Each process takes blocks and touches them until one is refused, then gives back a random part. The parent kills a
 * random process by SIGKILL every 0 to 200 ms and starts another in its place 0 to 200 ms later. With "mixed" each is
 * of another kind (company.h). With "together" all processes free all of their blocks every 250 ms, at the same time,
 * and take at the same time again.
 * Right: no kill by the kernel, and every process that lives to the end, and has asked for a second by then, was
 * granted something.
 */
#include "kills/company.h"

#define SLOTS 20000

#define BEAT (SECOND / 4)

static uint64_t seed;
static int64_t end_ns;
static bool mixed, together;

static int take_and_give(long number)
{
    static char *slots[SLOTS];
    uint64_t state = hrt_seeded(seed, (uint64_t)number);
    size_t count = 0;
    long granted = 0;
    int64_t beat = 0;
    hr_budget *budget;
    hrt_guard(&budget);
    int64_t start_ns = hrt_now_ns();
    for (int64_t now_ns; (now_ns = hrt_now_ns()) < end_ns;) {
        if (together && now_ns / BEAT != beat) {
            beat = now_ns / BEAT;
            hrt_keep_only(slots, &count, 0, &state);
            now_ns = hrt_now_ns() % BEAT;
            usleep((useconds_t)(now_ns < BEAT / 10 ? (BEAT / 10 - now_ns) / 1000 : 0)); /* the others free, too */
        }
        size_t size = hrt_below(&state, 2) ? 200 + hrt_below(&state, 30000) : 30000 + hrt_below(&state, 500000);
        char *block = count < SLOTS ? hr_alloc(budget, size) : NULL;
        if (block) {
            slots[count++] = memset(block, 1, size);
            granted++;
            continue;
        }
        hrt_keep_only(slots, &count, count * hrt_below(&state, 90) / 100, &state);
        usleep((useconds_t)hrt_below(&state, 20000));
    }
    return granted > 0 || end_ns - start_ns < SECOND ? HRT_RIGHT : HRT_REFUSED;
}

int main(int argc, char **argv)
{
    pid_t company[COMPANY_MAX];
    long count = hrt_number(argc, argv, 1, 8), started = 0, killed = 0;
    end_ns = hrt_now_ns() + hrt_number(argc, argv, 2, 4) * SECOND;
    seed = (uint64_t)hrt_number(argc, argv, 3, 1);
    uint64_t state = hrt_seeded(seed, 1000);
    for (int i = 4; i < argc; i++) {
        mixed = mixed || strcmp(argv[i], "mixed") == 0;
        together = together || strcmp(argv[i], "together") == 0;
    }
    int worst = HRT_RIGHT, status;
    HRT_MUST(count <= COMPANY_MAX);
    for (; started < count; started++)
        company[started] =
            hrt_join_company(mixed ? (hrt_kind)(started % HRT_KINDS) : HRT_PLAIN, take_and_give, started);
    while (hrt_now_ns() < end_ns - SECOND) {
        usleep((useconds_t)hrt_below(&state, 200000));
        size_t i = hrt_below(&state, (uint64_t)count);
        kill(company[i], SIGKILL);
        HRT_MUST(waitpid(company[i], &status, 0) == company[i]);
        killed++;
        usleep((useconds_t)hrt_below(&state, 200000));
        company[i] = hrt_join_company(mixed ? (hrt_kind)(started % HRT_KINDS) : HRT_PLAIN, take_and_give, started);
        started++;
    }
    for (long i = 0; i < count; i++) {
        HRT_MUST(waitpid(company[i], &status, 0) == company[i]);
        int end = WIFEXITED(status) ? WEXITSTATUS(status) : HRT_WRONG; /* where the kernel did it, cage tells */
        worst = end > worst ? end : worst;
    }
    printf("started %ld, killed %ld of them\n", started, killed);
    return worst;
}
