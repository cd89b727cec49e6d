/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: memory of malloc is admitted and spent, and is touched only later, beside memory that nobody charged. The
 * bytes were forgotten between hr_ticket_spend() and the first touch, granted twice, and the kernel killed the
 * process.
 *
 *     spend_late OWN_MIB SECONDS SEED      in 64 MiB
 *
 * Like a server whose bodies arrive slowly: 32 threads each admit 4 MiB, spend the ticket, malloc() as much and fill
 * it slowly. They keep up to 64 bodies and drop a random one for each new one. OWN_MIB is memory that nobody charged.
 * Right: no kill, and half of the bodies that fit beside OWN_MIB are served.
 */
#include "kills/kills.h"

#define BODY (4 * MIB)
#define KEPT 64
#define CLIENTS 32

static hr_guard *guard;
static char *kept[KEPT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long served, refused;
static int64_t end_ns;
static uint64_t seed;

static void drop(char *body)
{
    free(body);
    if (body)
        hr_budget_uncharge(hr_guard_root(guard), BODY);
}

static char *receive(uint64_t *state)
{
    hr_ticket ticket;
    if (hr_admit(guard, &(hr_request){.bytes = BODY, .priority = 100}, &ticket) != HR_ADMITTED) {
        refused++;
        usleep(5000);
        return NULL;
    }
    char *body = NULL;
    if (hr_ticket_spend(&ticket, BODY) == 0 && (body = malloc(BODY)) == NULL)
        hr_budget_uncharge(hr_guard_root(guard), BODY);
    hr_ticket_release(&ticket);
    for (size_t at = 0; body && at < BODY; at += 64 * KIB) {
        memset(body + at, 1, 64 * KIB);
        if (hrt_below(state, 16) == 0)
            usleep(1000);
    }
    return body;
}

static void *client(void *number)
{
    uint64_t state = hrt_seeded(seed, (uintptr_t)number);
    while (hrt_now_ns() < end_ns) {
        char *body = receive(&state);
        if (!body)
            continue;
        pthread_mutex_lock(&lock);
        size_t slot = hrt_below(&state, KEPT);
        char *old = kept[slot];
        kept[slot] = body;
        pthread_mutex_unlock(&lock);
        drop(old);
        served++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[CLIENTS];
    size_t own = (size_t)hrt_number(argc, argv, 1, 16) * MIB;
    hr_figures figures;
    hrt_own(own);
    end_ns = hrt_now_ns() + hrt_number(argc, argv, 2, 3) * SECOND;
    seed = (uint64_t)hrt_number(argc, argv, 3, 1);
    HRT_MUST(hr_guard_new(NULL, &guard) == 0 && hr_guard_read(guard, &figures) == 0);
    hrt_start(threads, CLIENTS, client);
    hrt_join(threads, CLIENTS);
    hrt_show(guard, "end");
    printf("served %ld, refused %ld\n", served, refused);
    return (uint64_t)served >= (figures.limit_bytes - own) / 2 / BODY ? HRT_RIGHT : HRT_REFUSED;
}
