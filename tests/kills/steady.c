/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a server with hr_admit() in front of malloc'ed values swings between full and empty. Admission filled up
 * to degrade_at, and memory that nobody charged tipped the level over. Nothing could be relieved, and everything was
 * refused for a dwell while clients deleted nearly all of it.
 *
 *     steady SECONDS SEED [THREADS [LEAST MOST [DELETES]]]      in 64 MiB
 *
 * 16 threads put values of 1 to 64 KiB (LEAST to MOST bytes) by admission and malloc(), default options; 25 of 100
 * calls (DELETES) delete a random value. A value that a put replaces is deleted, also if the put is refused. The use of
 * the group is sampled every 10 ms for SECONDS, once it has been at 80 % of the limit or a put was refused. Right: the
 * mean is at least 80 % of the limit, no sample is below 60 %, no hundred samples in a row are without a grant, and
 * nothing is killed.
 */
#include "kills/kills.h"

#define CLIENTS_MAX 64
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
static size_t least, most, deletes;

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
        value *new = hrt_below(&state, 100) >= deletes ? put(least + hrt_below(&state, most - least + 1)) : NULL;
        drop(atomic_exchange(slot, new));
        usleep(200);
    }
    return NULL;
}

/* The samples that are taken while the server runs. */
static struct {
    double sum, lowest;
    long count;
    long served;  /* when that last changed, */
    long changed; /* and how many samples it took at most */
    long pause;
} seen = {.lowest = 1};

static void sample(double use)
{
    seen.sum += use;
    seen.lowest = use < seen.lowest ? use : seen.lowest;
    if (seen.count++ == 0 || seen.served != served) {
        seen.served = served;
        seen.changed = seen.count;
    }
    seen.pause = seen.count - seen.changed > seen.pause ? seen.count - seen.changed : seen.pause;
}

int main(int argc, char **argv)
{
    pthread_t threads[CLIENTS_MAX];
    hrt_cgroup group = hrt_own_group();
    int64_t seconds = hrt_number(argc, argv, 1, 6), end_ns = hrt_now_ns() + 30 * SECOND;
    seed = (uint64_t)hrt_number(argc, argv, 2, 1);
    long clients = hrt_number(argc, argv, 3, 16);
    least = (size_t)hrt_number(argc, argv, 4, KIB);
    most = (size_t)hrt_number(argc, argv, 5, 64 * KIB);
    deletes = (size_t)hrt_number(argc, argv, 6, 25);
    HRT_MUST(clients <= CLIENTS_MAX && sizeof(value) <= least && least <= most);
    HRT_MUST(hr_guard_new(NULL, &guard) == 0);
    hr_figures figures;
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    hrt_start(threads, clients, client);
    for (bool full = false; hrt_now_ns() < end_ns; usleep(10000)) {
        double use = (double)hrt_cgroup_usage(&group) / (double)figures.limit_bytes;
        if (!full && (use >= 0.8 || refused > 0)) {
            full = true;
            end_ns = hrt_now_ns() + seconds * SECOND;
        }
        if (full)
            sample(use);
    }
    stop = true;
    hrt_join(threads, clients);
    hrt_show(guard, "end");
    double mean = seen.sum / (double)seen.count;
    printf("mean use %.3f, lowest %.3f, longest pause %ld samples, served %ld, refused %ld\n", mean, seen.lowest,
           seen.pause, served, refused);
    return seen.count > 0 && mean >= 0.8 && seen.lowest >= 0.6 && seen.pause < 100 ? HRT_RIGHT : HRT_REFUSED;
}
