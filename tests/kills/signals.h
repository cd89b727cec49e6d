/* SPDX-License-Identifier: Apache-2.0 */
/* Charges in a signal handler that interrupts malloc(), while another thread does something with the library: shared
 * by the programs that look for a deadlock of the two. */
#ifndef HRT_KILLS_SIGNALS_H
#define HRT_KILLS_SIGNALS_H

#include "kills/kills.h"

#include <signal.h>

#define STUCK (3 * SECOND) /* without a round of the other thread: a deadlock */

static hr_budget *budget;
static atomic_long rounds;

static void charge_in_handler(int number)
{
    (void)number;
    int error = errno;
    if (hr_budget_try_charge(budget, 600000) == 0)
        hr_budget_uncharge(budget, 600000);
    errno = error;
}

static void *allocate(void *unused)
{
    char *blocks[64] = {0};
    uint64_t state = 7;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (;;) {
        size_t i = hrt_below(&state, 64);
        free(blocks[i]);
        blocks[i] = malloc(2000 + hrt_below(&state, 60000));
    }
    return unused;
}

/* Runs `other`, which counts its rounds, beside a thread in malloc() that is interrupted all the time. Does not
 * return, and calls nothing that may need malloc(), which may be locked for ever. */
static void hrt_interrupt(void *(*other)(void *unused), long seconds)
{
    struct sigaction action = {.sa_handler = charge_in_handler, .sa_flags = SA_RESTART};
    pthread_t allocating, beside;
    sigset_t set;
    HRT_MUST(sigaction(SIGUSR1, &action, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    HRT_MUST(pthread_create(&allocating, NULL, allocate, NULL) == 0);
    HRT_MUST(pthread_create(&beside, NULL, other, NULL) == 0);
    int64_t end_ns = hrt_now_ns() + seconds * SECOND, last_ns = hrt_now_ns();
    long seen = 0;
    while (hrt_now_ns() < end_ns) {
        usleep(50);
        pthread_kill(allocating, SIGUSR1);
        if (rounds != seen) {
            seen = rounds;
            last_ns = hrt_now_ns();
        }
        if (hrt_now_ns() - last_ns > STUCK)
            _exit(HRT_DEADLOCK);
    }
    _exit(HRT_RIGHT);
}

#endif
