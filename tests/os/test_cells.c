/* SPDX-License-Identifier: Apache-2.0 */
/* Cells that their threads use while others drain them: nothing is ever lost or made. */
#include "support/cmocka.h"

#include "os/cells.h"
#include "os/rseq.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 100000
#define TAKEN 0

static hri_place place;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the owner's, of the place */

static void need_sequences(void)
{
    const char *why;
    if (hri_rseq_usable(&why))
        return;
    print_message("skipped: %s\n", why);
    skip();
}

static int set_up(void **state)
{
    (void)state;
    place = hri_cells_claim();
    return 0;
}

/* Empties all cells of the place, wherever they are; gives what was in them. */
static uint64_t drain(void)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record))
        hri_cell_close(hri_cells_at(record, place));
    hri_rseq_fence();
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record))
        bytes += hri_cell_empty(hri_cells_at(record, place));
    pthread_mutex_unlock(&lock);
    return bytes;
}

static int tear_down(void **state)
{
    (void)state;
    if (!place)
        return 0;
    drain();
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record))
        memset(hri_cells_at(record, place), 0, sizeof *record);
    hri_cells_unclaim(place);
    return 0;
}

static uint64_t value(void)
{
    return atomic_load(&hri_cells_at(hri_cells_mine, place)->value);
}

static void without_sequences_there_is_no_place(void **state)
{
    (void)state;
    const char *why = NULL;
    assert_int_equal(place != 0, hri_rseq_usable(&why));
    assert_non_null(why);
    if (!place) {
        assert_null(hri_cells_own(64));
        assert_false(hri_cells_take(0, 1, TAKEN, hri_rseq_offset));
        assert_false(hri_cells_give(0, 1));
    }
}

static void bounds_hold_for_every_number(void **state)
{
    (void)state;
    need_sequences();
    hri_cell *cell = hri_cells_own(place);
    assert_non_null(cell);
    assert_false(hri_cell_is_open(cell));
    assert_false(hri_cells_take(place, 1, TAKEN, hri_rseq_offset));
    assert_false(hri_cells_give(place, 1));
    hri_cell_open(cell, 10, 100);
    assert_true(hri_cells_take(place, 4, TAKEN, hri_rseq_offset));
    assert_true(hri_cells_take(place, 6, TAKEN, hri_rseq_offset));
    assert_false(hri_cells_take(place, 1, TAKEN, hri_rseq_offset));
    assert_true(hri_cells_give(place, 100));
    assert_false(hri_cells_give(place, 1));
    static const uint64_t huge[] = {UINT64_MAX, UINT64_MAX - 99,         UINT64_MAX - 100,  UINT64_C(1) << 63,
                                    INT64_MAX,  (UINT64_C(1) << 63) + 1, UINT64_C(1) << 32, 101};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        assert_false(hri_cells_take(place, huge[i], TAKEN, hri_rseq_offset));
        assert_false(hri_cells_give(place, huge[i]));
    }
    assert_int_equal(value(), 100);
    assert_int_equal(cell->more[TAKEN], 10);
    hri_cell_close(cell);
    assert_false(hri_cells_take(place, 1, TAKEN, hri_rseq_offset));
    assert_false(hri_cells_give(place, 1));
    assert_int_equal(hri_cell_empty(cell), 100);
}

static void places_are_each_ones_own_and_end(void **state)
{
    (void)state;
    need_sequences();
    static hri_place all[HRI_PLACES_MAX];
    unsigned count = 0;
    while ((all[count] = hri_cells_claim()) != 0)
        count++;
    assert_int_equal(count, HRI_PLACES_MAX - 2); /* place 0, and the one of this test */
    assert_int_not_equal(all[0], all[count - 1]);
    hri_place again = all[count / 2];
    hri_cells_unclaim(again);
    assert_int_equal(hri_cells_claim(), again);
    while (count > 0)
        hri_cells_unclaim(all[--count]);
}

/* ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static atomic_bool stop;
static atomic_uint_fast64_t made, lost; /* what went into cells from outside, and what could not be given to one */

/* Opens the thread's own cell again, with what comes from outside. */
static void refill(void)
{
    pthread_mutex_lock(&lock);
    hri_cell *cell = hri_cells_own(place);
    hri_cell_close(cell);
    uint64_t before = hri_cell_empty(cell);
    made += CAPACITY - before;
    hri_cell_open(cell, CAPACITY, 2 * CAPACITY);
    pthread_mutex_unlock(&lock);
}

static void *use(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    uint64_t held = 0;
    while (!stop) {
        for (int i = 0; i < 1000; i++) {
            uint64_t n = (uint64_t)rand_r(&random) % 500;
            if (hri_cells_take(place, n, TAKEN, hri_rseq_offset))
                held += n;
            else
                refill();
            n = held < n ? held : n;
            if (hri_cells_give(place, n))
                held -= n;
        }
    }
    lost += held;
    return NULL;
}

static void run_and_drain(unsigned count, int milliseconds)
{
    pthread_t threads[64];
    uint64_t drained = 0, rounds = 0;
    stop = false;
    made = lost = 0;
    for (uintptr_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)(i + 1)), 0);
    for (int i = 0; i < milliseconds; i++, rounds++) {
        drained += drain();
        usleep(1000);
    }
    stop = true;
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    drained += drain(); /* those of threads that have ended too */
    assert_int_equal(made, drained + lost);
    assert_true(made > CAPACITY);
}

static void nothing_is_lost_while_others_drain(void **state)
{
    (void)state;
    need_sequences();
    run_and_drain(2, 500);
    run_and_drain(64, 500);
}

/* A handler of the same thread, at any instant of its sequences. */
static atomic_uint_fast64_t in_handler;

static void on_alarm(int signal)
{
    (void)signal;
    if (hri_cells_take(place, 7, TAKEN, hri_rseq_offset))
        in_handler += 7;
    if (in_handler >= 3 && hri_cells_give(place, 3))
        in_handler -= 3;
}

static void nothing_is_lost_to_signals(void **state)
{
    (void)state;
    need_sequences();
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, before;
    struct itimerval timer = {{0, 50}, {0, 50}}, none = {{0, 0}, {0, 0}};
    in_handler = 0;
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &timer, NULL);
    pthread_t threads[4];
    uint64_t drained = 0;
    stop = false;
    made = lost = 0;
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)(i + 1)), 0);
    for (int i = 0; i < 300; i++) {
        drained += drain();
        usleep(1000);
    }
    stop = true;
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, &before, NULL);
    drained += drain();
    assert_int_equal(made, drained + lost + in_handler);
}

/* ── a fence that is taken away ─────────────────────────────────────────────────────────────────────────────────── */

/* Has membarrier(2) refused from now on, as a sandbox does that a program enters after its start. */
static int forbid_membarrier(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -1 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void a_filter_that_comes_later_loses_nothing(void **state)
{
    (void)state;
    need_sequences();
    pid_t child = fork();
    if (child == 0) {
        hri_cells_fork(HRI_FORK_CHILD);
        if (forbid_membarrier() != 0)
            _exit(77);
        run_and_drain(3, 300); /* a failed assertion ends the child by a signal, or with another status */
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: no filter can be installed here\n");
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ── beginning and end of threads ───────────────────────────────────────────────────────────────────────────────── */

static void *leave_a_value(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    hri_cell_open(hri_cells_own(place), 1000, CAPACITY);
    pthread_mutex_unlock(&lock);
    return hri_cells_mine;
}

static void a_dead_threads_cell_is_drained_and_its_record_used_again(void **state)
{
    (void)state;
    need_sequences();
    pthread_t thread;
    void *first, *second;
    unsigned before = hri_cells_threads();
    assert_int_equal(pthread_create(&thread, NULL, leave_a_value, NULL), 0);
    pthread_join(thread, &first);
    assert_int_equal(hri_cells_threads(), before);
    assert_int_equal(drain(), 1000);
    assert_int_equal(pthread_create(&thread, NULL, leave_a_value, NULL), 0);
    pthread_join(thread, &second);
    assert_ptr_equal(first, second);
    assert_int_equal(drain(), 1000);
}

static pthread_key_t late_key;
static atomic_int late_calls;

/* Runs after the record's own destructor too: twice. */
static void destroy_late(void *round)
{
    late_calls++;
    assert_false(hri_cells_take(place, 2000, TAKEN, hri_rseq_offset)); /* never more than there was */
    if ((uintptr_t)round < 3) {
        pthread_setspecific(late_key, (void *)((uintptr_t)round + 1));
        return;
    }
    assert_null(hri_cells_own(place));
    assert_false(hri_cells_take(place, 1, TAKEN, hri_rseq_offset));
    assert_false(hri_cells_give(place, 1));
}

static void *end_late(void *context)
{
    pthread_setspecific(late_key, (void *)1);
    return leave_a_value(context);
}

static void destructors_after_the_end_find_closed_cells(void **state)
{
    (void)state;
    need_sequences();
    pthread_t thread;
    assert_int_equal(pthread_key_create(&late_key, destroy_late), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_late, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(late_calls, 3);
    assert_int_equal(drain(), 1000);
    pthread_key_delete(late_key);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_sequences_there_is_no_place),
        TEST(bounds_hold_for_every_number),
        TEST(places_are_each_ones_own_and_end),
        TEST(nothing_is_lost_while_others_drain),
        TEST(nothing_is_lost_to_signals),
        TEST(a_filter_that_comes_later_loses_nothing),
        TEST(a_dead_threads_cell_is_drained_and_its_record_used_again),
        TEST(destructors_after_the_end_find_closed_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
