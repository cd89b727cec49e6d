/* SPDX-License-Identifier: Apache-2.0 */
/* Shows what cannot be prevented: the group's limit is lowered to just above its use while threads take and give
 * back. From inside this cannot be seen in time. README says so under "Limits of headroom".
 *
 *     limit_lowered SIZE_MOST SEED      in 64 MiB
 *
 * The limit is lowered to 64 KiB to 3 MiB above use and raised again, for 6 s. A kernel that refuses this is asked
 * again.
 */
#include "kills/kills.h"

#define TAKERS 2
#define SLOTS 20000

static hr_guard *guard;
static atomic_bool stop;
static uint64_t seed;
static size_t size_most;

static void *take(void *number)
{
    static char *slots_of[TAKERS][SLOTS];
    char **slots = slots_of[(uintptr_t)number];
    uint64_t state = hrt_seeded(seed, (uintptr_t)number);
    size_t count = 0;
    while (!stop) {
        size_t size = 32 + hrt_below(&state, size_most);
        char *block = count < SLOTS ? hr_alloc(hr_guard_root(guard), size) : NULL;
        if (block)
            slots[count++] = memset(block, 1, size);
        if (block && hrt_below(&state, 3000))
            continue;
        hrt_keep_only(slots, &count, count * hrt_below(&state, 100) / 100, &state);
        usleep((useconds_t)hrt_below(&state, 2000));
    }
    while (count)
        hr_free(slots[--count]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[TAKERS];
    hrt_cgroup group = hrt_own_group();
    hr_figures figures;
    long lowered = 0;
    size_most = (size_t)hrt_number(argc, argv, 1, 60000);
    seed = (uint64_t)hrt_number(argc, argv, 2, 1);
    uint64_t state = hrt_seeded(seed, TAKERS);
    HRT_MUST(hr_guard_new(NULL, &guard) == 0 && hr_guard_read(guard, &figures) == 0);
    hrt_start(threads, TAKERS, take);
    for (int64_t end_ns = hrt_now_ns() + 6 * SECOND; hrt_now_ns() < end_ns;) {
        usleep((useconds_t)hrt_below(&state, 100000));
        uint64_t limit = (hrt_cgroup_usage(&group) + hrt_below(&state, 4) * MIB + 64 * KIB) & ~UINT64_C(4095);
        if (limit < figures.cgroup_limit_bytes && hrt_cgroup_set_limit(&group, limit) == 0)
            lowered++;
        usleep((useconds_t)hrt_below(&state, 100000));
        HRT_MUST(hrt_cgroup_set_limit(&group, figures.cgroup_limit_bytes) == 0);
    }
    stop = true;
    hrt_join(threads, TAKERS);
    hrt_show(guard, "end");
    printf("lowered %ld times\n", lowered);
    return HRT_RIGHT;
}
