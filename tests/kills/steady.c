/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a server with hr_admit() in front of malloc'ed values swings between full and empty. Admission filled up
 * to degrade_at, memory that nobody charged tipped the level over, nothing could be relieved, and everything was
 * refused for a dwell while clients deleted nearly all of it.
 *
 *     steady SECONDS SEED      in 64 MiB
 *
 * 16 threads put values of 1 to 64 KiB by admission and malloc(), default options; one call in four deletes a random
 * value. The use of the group is sampled every 10 ms once it has been at 70 % of the limit, or after one second.
 * Right: the mean is at least 80 % of the limit, no sample is below 60 %, and nothing is killed.
 */
#include "kills/kills.h"

#define CLIENTS 16
#define SLOTS 16384

typedef struct value {
    size_t size;
    char bytes[];
} value;

static hr_guard *guard;
static _Atomic(value *) slots[SLOTS];
static atomic_bool stop;
static atomic_long served, refused;
static uint64_t seed;

static void drop(value *old)
{
    if (!old)
        return;
    size_t size = old->size;
    free(old);
    hr_budget_uncharge(hr_guard_root(guard), size);
}

static value *put(size_t size)
{
    hr_ticket ticket;
    if (hr_admit(guard, &(hr_request){.bytes = size, .priority = 100}, &ticket) != HR_ADMITTED) {
        refused++;
        return NULL;
    }
    value *new = NULL;
    if (hr_ticket_spend(&ticket, size) == 0 && (new = malloc(size)) == NULL)
        hr_budget_uncharge(hr_guard_root(guard), size);
    hr_ticket_release(&ticket);
    if (new) {
        memset(new, 1, size);
        new->size = size;
        served++;
    }
    return new;
}

static void *client(void *number)
{
    uint64_t state = hrt_seeded(seed, (uintptr_t)number);
    while (!stop) {
        _Atomic(value *) *slot = &slots[hrt_below(&state, SLOTS)];
        value *new = hrt_below(&state, 4) ? put(KIB + hrt_below(&state, 63 * KIB)) : NULL;
        drop(atomic_exchange(slot, new));
        usleep(200);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[CLIENTS];
    hrt_cgroup group = hrt_own_group();
    int64_t start_ns = hrt_now_ns(), end_ns = start_ns + hrt_number(argc, argv, 1, 6) * SECOND;
    seed = (uint64_t)hrt_number(argc, argv, 2, 1);
    HRT_MUST(hr_guard_new(NULL, &guard) == 0);
    hr_figures figures;
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    double limit = (double)figures.limit_bytes, sum = 0, lowest = 1;
    long samples = 0;
    hrt_start(threads, CLIENTS, client);
    for (bool full = false; hrt_now_ns() < end_ns; usleep(10000)) {
        double use = (double)hrt_cgroup_usage(&group) / limit;
        full = full || use >= 0.7 || hrt_now_ns() - start_ns >= SECOND;
        if (!full)
            continue;
        sum += use;
        lowest = use < lowest ? use : lowest;
        samples++;
    }
    stop = true;
    hrt_join(threads, CLIENTS);
    hrt_show(guard, "end");
    printf("mean use %.3f, lowest %.3f, served %ld, refused %ld\n", sum / (double)samples, lowest, served, refused);
    return sum / (double)samples >= 0.8 && lowest >= 0.6 ? HRT_RIGHT : HRT_REFUSED;
}
