/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: guarded processes in one group do not know of what the others were granted a moment ago. Four that touch
 * at once were killed.
 *
 *     neighbours PROCESSES SECONDS SEED [prefork]      in 64 MiB and more
 *
 * Each process takes blocks and touches them until one is refused, then gives back a random part. With "prefork" they
 * are forked by a process that has a guard already, else each makes its own.
 * Right: no kill, and each process is granted something.
 */
#include "kills/kills.h"

#include <sys/wait.h>

#define PROCESSES_MAX 16
#define SLOTS 20000

static int live(hr_guard *guard, uint64_t state, int64_t end_ns)
{
    static char *slots[SLOTS];
    size_t count = 0;
    long granted = 0, refused = 0;
    while (hrt_now_ns() < end_ns) {
        size_t size = hrt_below(&state, 2) ? 200 + hrt_below(&state, 30000) : 30000 + hrt_below(&state, 500000);
        char *block = count < SLOTS ? hr_alloc(hr_guard_root(guard), size) : NULL;
        if (block) {
            slots[count++] = memset(block, 1, size);
            granted++;
            continue;
        }
        refused++;
        hrt_keep_only(slots, &count, count * hrt_below(&state, 90) / 100, &state);
        usleep((useconds_t)hrt_below(&state, 20000));
    }
    printf("granted %ld, refused %ld\n", granted, refused);
    fflush(stdout);
    return granted > 0 || refused == 0 ? HRT_RIGHT : HRT_REFUSED; /* neither: it had no processor */
}

int main(int argc, char **argv)
{
    long count = hrt_number(argc, argv, 1, 4);
    int64_t end_ns = hrt_now_ns() + hrt_number(argc, argv, 2, 4) * SECOND;
    uint64_t seed = (uint64_t)hrt_number(argc, argv, 3, 1);
    bool prefork = argc > 4;
    hr_guard *guard = NULL;
    pid_t children[PROCESSES_MAX];
    int worst = HRT_RIGHT;
    HRT_MUST(count <= PROCESSES_MAX && (!prefork || hr_guard_new(NULL, &guard) == 0));
    for (long i = 0; i < count; i++) {
        children[i] = fork();
        HRT_MUST(children[i] >= 0);
        if (children[i] == 0) {
            HRT_MUST((prefork ? hr_guard_start(guard, 0) : hr_guard_new(NULL, &guard)) == 0);
            _exit(live(guard, hrt_seeded(seed, (uint64_t)i), end_ns));
        }
    }
    for (long i = 0; i < count; i++) {
        int status;
        HRT_MUST(waitpid(children[i], &status, 0) == children[i]);
        if (!WIFEXITED(status))
            worst = HRT_WRONG; /* where the kernel did it, cage tells */
        else if (WEXITSTATUS(status) > worst)
            worst = WEXITSTATUS(status);
    }
    return worst;
}
