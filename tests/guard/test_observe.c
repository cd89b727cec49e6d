/* SPDX-License-Identifier: Apache-2.0 */
/* Observe only: nothing is refused, evicted or purged, whatever the level, and all that would have been is counted, in
 * events and in every report. */
#include "support/cmocka.h"

#include "guard/rooms.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static hr_guard *guard;
static hr_budget *root;
static int reclaims;
static char sentence[256];
static int sentences;

static uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    reclaims++;
    return 0;
}

static void take(void *context, const char *text)
{
    assert_ptr_equal(context, &sentences);
    snprintf(sentence, sizeof sentence, "%s", text);
    sentences++;
}

static int set_up(void **state)
{
    (void)state;
    unsetenv("HEADROOM_LIMIT");
    unsetenv("HEADROOM_OBSERVE");
    reclaims = sentences = 0;
    hr_guard_options options = {.limit_bytes = 16 * MIB, .interval_ns = -1, .observe_only = true};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    root = hr_guard_root(guard);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_message_set(NULL, NULL);
    unsetenv("HEADROOM_LIMIT");
    unsetenv("HEADROOM_OBSERVE");
    hr_guard_free(guard);
    guard = NULL;
    return 0;
}

static hr_figures figures_now(void)
{
    hr_figures figures;
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    return figures;
}

static void charges_beyond_a_limit_are_granted_and_counted(void **state)
{
    (void)state;
    hr_budget *child;
    hr_budget_figures held;
    hr_refusal refusal;
    assert_int_equal(hr_budget_new(root, "uploads", 1 * MIB, &child), 0);
    assert_int_equal(hr_budget_charge(child, 1 * MIB), 0);
    assert_int_equal(figures_now().would_have_refused, 0);
    assert_int_equal(hr_budget_charge(child, 100), 0);     /* beyond its own limit */
    assert_int_equal(hr_budget_try_charge(child, 100), 0); /* without relief */
    assert_int_equal(hr_budget_charge_wait(child, 100, -1), 0);
    assert_int_equal(hr_budget_charge(root, 40 * MIB), 0); /* can never fit */
    assert_int_equal(hr_budget_transfer(root, child, 1 * MIB), 0);
    assert_int_equal(hr_budget_set_reserve(child, 1 * MIB), 0);
    assert_int_equal(hr_budget_read(child, &held), 0);
    assert_int_equal(held.used_bytes, 2 * MIB + 300);
    assert_int_equal(held.refused, 0); /* Prevents: a budget counted as refused what it had granted */
    assert_int_equal(held.would_have_refused, 4);
    hr_figures figures = figures_now();
    assert_int_equal(figures.live_bytes, 41 * MIB + 300);
    assert_int_equal(figures.refusals, 0);
    assert_int_equal(figures.would_have_refused, 5);
    assert_int_equal(hr_budget_refusal(&refusal), -ENODATA);           /* nothing was */
    assert_int_equal(hr_budget_charge(root, UINT64_MAX - 5), -EDQUOT); /* what no account can count */
    hr_budget_uncharge(child, 2 * MIB + 300);
    hr_budget_uncharge(root, 39 * MIB);
    assert_int_equal(hr_budget_free(child), 0);
    assert_int_equal(figures_now().live_bytes, 0);
}

static void blocks_beyond_a_limit_are_there(void **state)
{
    (void)state;
    void *small[200], *large = hr_alloc(root, 20 * MIB);
    assert_non_null(large);
    memset(large, 1, 20 * MIB);
    for (int i = 0; i < 200; i++)
        assert_non_null(small[i] = hr_alloc(root, 1000));
    large = hr_realloc(root, large, 30 * MIB);
    assert_non_null(large);
    assert_true(figures_now().would_have_refused > 100);
    for (int i = 0; i < 200; i++)
        hr_free(small[i]);
    hr_free(large);
    assert_int_equal(figures_now().live_bytes, 0);
}

static uint64_t refused_now(void)
{
    return figures_now().would_have_refused;
}

/* Prevents: a block was counted twice, beyond its budget and when the heap asked the lease for its pages. */
static void a_block_beyond_its_budget_and_the_lease_counts_once(void **state)
{
    (void)state;
    hr_budget *child;
    size_t taken = 32 * MIB;
    hr_guard_free(guard);
    hr_guard_options options = {.process_limit_bytes = taken, .interval_ns = -1, .observe_only = true};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    root = hr_guard_root(guard);
    assert_int_equal(hr_budget_new(root, "uploads", 1 * MIB, &child), 0);
    void *own = mmap(NULL, taken, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(own != MAP_FAILED);
    hr_purge(); /* else the heap has pages for it */
    hr_guard_check(guard);
    assert_int_equal(figures_now().lease_bytes, 0);
    void *blocks[4] = {hr_alloc(child, 4 * MIB)};
    assert_int_equal(refused_now(), 1); /* beyond both */
    blocks[1] = hr_alloc(root, 4 * MIB);
    assert_int_equal(refused_now(), 2); /* beyond the lease alone */
    blocks[2] = hr_alloc(child, 3000);
    assert_true(refused_now() <= 3);
    blocks[0] = hr_realloc(child, blocks[0], 8 * MIB);
    assert_true(refused_now() <= 4);
    blocks[3] = hr_alloc_aligned(child, 4096, 4 * MIB);
    assert_true(refused_now() <= 5);
    for (int i = 0; i < 4; i++) {
        assert_non_null(blocks[i]);
        hr_free(blocks[i]);
    }
    munmap(own, taken);
    assert_int_equal(figures_now().live_bytes, 0);
    assert_int_equal(hr_budget_free(child), 0);
}

static void requests_are_admitted_whatever_the_level(void **state)
{
    (void)state;
    hr_ticket ticket, small;
    assert_int_equal(hr_budget_charge(root, 16 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 100}, &small), HR_ADMITTED);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 1 * MIB}, &ticket), HR_ADMITTED);
    assert_int_equal(hr_ticket_spend(&ticket, 2 * MIB), 0); /* more than was asked for */
    hr_ticket_release(&ticket);
    hr_ticket_release(&small);
    hr_figures figures = figures_now();
    assert_int_equal(figures.would_have_refused, 3);
    assert_int_equal(figures.would_have_refused_critical, 2);
    assert_int_equal(figures.refusals + figures.refusals_degraded + figures.refusals_critical, 0);
    assert_int_equal(figures.promised_bytes, 0);
    assert_int_equal(hr_guard_wait(guard, HR_NORMAL, -1), 0); /* does not wait */
    hr_budget_uncharge(root, 18 * MIB);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
}

static void nobody_is_asked_for_memory(void **state)
{
    (void)state;
    hr_reclaimer node = {.name = "mine", .reclaim = reclaim};
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    uint64_t before = figures_now().purges;
    assert_int_equal(hr_budget_charge(root, 17 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    assert_int_equal(hr_relieve(guard, 1 * MIB), 0);
    assert_int_equal(hr_guard_cleanup(guard), 0);
    hr_figures figures = figures_now();
    assert_int_equal(reclaims, 0);
    assert_int_equal(figures.reliefs + figures.cleanups, 0);
    assert_int_equal(figures.purges, before);
    assert_true(figures.would_have_relieved >= 2);
    assert_int_equal(figures.stalled_ns, 0);
    hr_budget_uncharge(root, 17 * MIB);
    hr_reclaimer_remove(guard, &node);
}

/* A cache that would have yielded makes room in words only: its entries stay. The charge does not count as one that
 * would have been refused, for it would not have been. */
static void caches_and_pools_do_not_yield(void **state)
{
    (void)state;
    static char value[64 * 1024];
    hr_cache *cache;
    hr_cache_figures held;
    hr_byte_pool *pool;
    hr_pool_figures idle;
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.name = "thumbnails"}, &cache), 0);
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "buffers", .size_bytes = 4096}, &pool), 0);
    void *block = hr_byte_pool_get(pool, 4096);
    hr_byte_pool_put(pool, block);
    for (int i = 0; i < 400; i++) /* 25 MiB */
        assert_int_equal(hr_cache_put(cache, &i, sizeof i, value, sizeof value, 0), 0);
    hr_guard_check(guard);
    assert_int_equal(hr_cache_read(cache, &held), 0);
    assert_int_equal(held.entries, 400);
    assert_int_equal(hr_byte_pool_read(pool, &idle), 0);
    assert_true(idle.idle > 0);
    hr_figures figures = figures_now();
    assert_int_equal(figures.level, HR_CRITICAL);
    assert_int_equal(figures.would_have_refused, 0);
    assert_true(figures.would_have_relieved > 0);
    hr_ticket ticket;
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 100000}, &ticket), HR_ADMITTED);
    assert_int_equal(figures_now().would_have_refused, 0); /* the cache would have given that */
    hr_ticket_release(&ticket);
    assert_int_equal(hr_budget_charge(root, 17 * MIB), 0); /* this could never fit */
    assert_int_equal(figures_now().would_have_refused, 1);
    hr_budget_uncharge(root, 17 * MIB);
    assert_int_equal(hr_cache_free(cache), 0);
    assert_int_equal(hr_byte_pool_free(pool), 0);
}

static void every_report_tells(void **state)
{
    (void)state;
    char text[65536], line[512], words[1024];
    hr_record records[HR_HISTORY_RECORDS];
    hr_event events[HR_HISTORY_EVENTS];
    size_t count, event_count;
    for (int i = 0; i < 41; i++)
        assert_int_equal(hr_budget_charge(root, 17 * MIB), 0);
    assert_int_equal(hr_history_record(guard), 0);
    hr_budget_uncharge(root, 41 * 17 * MIB);
    struct timespec second = {.tv_sec = 1, .tv_nsec = 50000000}; /* a spell is over once it was quiet for so long */
    nanosleep(&second, NULL);
    assert_int_equal(hr_history_record(guard), 0);
    assert_int_equal(hr_history_read(guard, records, HR_HISTORY_RECORDS, &count), 0);
    assert_int_equal(records[count - 1].would_have_refused, 41);
    assert_int_equal(records[count - 1].refusals, 0);
    assert_int_equal(hr_history_read_events(guard, events, HR_HISTORY_EVENTS, &event_count), 0);
    int told = 0;
    for (size_t i = 0; i < event_count; i++) {
        assert_int_not_equal(events[i].kind, HR_EVENT_REFUSALS);
        if (events[i].kind != HR_EVENT_WOULD_REFUSE)
            continue;
        told++;
        assert_int_equal(events[i].refused_by_limit, 41);
        assert_string_equal(events[i].budget, "root");
    }
    assert_int_equal(told, 1);
    assert_string_equal(hr_event_kind_text(HR_EVENT_WOULD_REFUSE), "would refuse");
    assert_string_equal(hr_event_kind_text((hr_event_kind)99), "unknown");
    const hr_history_view view = {records, count, events, event_count};
    assert_true(hr_refusals_format(&view, words, sizeof words) > 0);
    assert_non_null(strstr(words, "41 requests would have been refused between "));
    assert_non_null(strstr(words, " UTC: 41 by limits; by budget \"root\" 41"));
    assert_int_equal(hr_figures_text(&(hr_figures){.would_have_refused = 41}, line, sizeof line), 0);
    assert_non_null(strstr(line, "0 refused, 41 would have been refused"));
    assert_true(hr_report_format(guard, HR_TEXT, text, sizeof text) > 0);
    assert_non_null(strstr(text, "41 requests would have been refused between "));
    assert_true(hr_report_format(guard, HR_JSON, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\"would_have_refused\": 41"));
    assert_non_null(strstr(text, "\"kind\": \"would refuse\""));
    assert_true(hr_report_format(guard, HR_CSV, text, sizeof text) > 0);
    assert_non_null(strstr(text, ",would_have_refused,"));
    assert_true(hr_report_format(guard, HR_OPENMETRICS, text, sizeof text) > 0);
    assert_non_null(strstr(text, "headroom_would_have_refused_total 41\n"));
    assert_non_null(strstr(text, "headroom_budget_would_have_refused_total{budget=\"root\"} 41\n"));
    assert_non_null(strstr(text, "headroom_budget_refusals_total{budget=\"root\"} 0\n"));
    assert_non_null(strstr(text, "headroom_budget_refusals_by_level_total{budget=\"root\"} 0\n"));
}

static atomic_int wrong;

/* Holds far more than its limit together with the others, and gives all of it back. */
static void *use_too_much(void *context)
{
    hr_budget *child;
    hr_guard *shared = context;
    void *blocks[64] = {NULL};
    wrong += hr_budget_new(hr_guard_root(shared), "thread", 1 * MIB, &child) != 0;
    for (int round = 0; round < 4000; round++) {
        int at = round % 64;
        hr_ticket ticket;
        hr_free(blocks[at]);
        blocks[at] = hr_alloc(round % 2 ? child : hr_guard_root(shared), (size_t)(1 + round % 40) * 3000);
        wrong += blocks[at] == NULL;
        wrong += hr_budget_charge(child, 100000) != 0;
        wrong += hr_admit(shared, &(hr_request){.bytes = 5000, .budget = child}, &ticket) != HR_ADMITTED;
        hr_ticket_release(&ticket);
        hr_budget_uncharge(child, 100000);
    }
    for (int i = 0; i < 64; i++)
        hr_free(blocks[i]);
    wrong += hr_budget_free(child) != 0;
    return NULL;
}

/* Four threads beyond every limit, with a monitor that looks all the time: nobody is refused, and no byte is lost. */
static void threads_are_never_refused(void **state)
{
    (void)state;
    hr_guard *shared;
    hr_figures figures;
    pthread_t threads[4];
    hr_guard_options options = {.limit_bytes = 4 * MIB, .interval_ns = 1000000, .observe_only = true};
    assert_int_equal(hr_guard_new(&options, &shared), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_too_much, shared), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(hr_guard_read(shared, &figures), 0);
    assert_int_equal(figures.live_bytes + figures.promised_bytes, 0);
    assert_int_equal(figures.refusals, 0);
    assert_true(figures.would_have_refused > 1000);
    hr_guard_free(shared);
}

static void the_environment_says_it_too(void **state)
{
    (void)state;
    hr_guard *other;
    hr_figures figures;
    setenv("HEADROOM_OBSERVE", "1", 1);
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = MIB, .interval_ns = -1}, &other), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(other), 2 * MIB), 0);
    assert_int_equal(hr_guard_read(other, &figures), 0);
    assert_int_equal(figures.would_have_refused, 1);
    hr_budget_uncharge(hr_guard_root(other), 2 * MIB);
    hr_guard_free(other);
    setenv("HEADROOM_OBSERVE", "0", 1);
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = MIB, .interval_ns = -1}, &other), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(other), 2 * MIB), -EDQUOT);
    hr_guard_free(other);
}

static void a_wrong_variable_is_named(void **state)
{
    (void)state;
    hr_guard *other;
    hr_message_set(take, &sentences);
    setenv("HEADROOM_OBSERVE", "yes", 1);
    assert_int_equal(hr_guard_new(NULL, &other), -EINVAL);
    assert_int_equal(sentences, 1);
    assert_string_equal(sentence,
                        "no guard is made: the environment variable HEADROOM_OBSERVE is 'yes'; write 1 to look "
                        "and tell and do nothing, or 0");
    unsetenv("HEADROOM_OBSERVE");
    setenv("HEADROOM_LIMIT", "12\tQ", 1);
    assert_int_equal(hr_guard_new(NULL, &other), -EINVAL);
    assert_int_equal(sentences, 2);
    assert_string_equal(sentence,
                        "no guard is made: the environment variable HEADROOM_LIMIT is '12?Q'; write a size such "
                        "as 512M or 1.5GiB, a share such as 80%, or none");
    setenv("HEADROOM_LIMIT", "99999999999G", 1);
    assert_int_equal(hr_guard_new(NULL, &other), -ERANGE);
    assert_int_equal(sentences, 3);
    assert_non_null(strstr(sentence, " is '99999999999G', which is too large; write a size"));
    assert_int_equal(hr_guard_new(&(hr_guard_options){.process_limit_bytes = HR_NONE, .interval_ns = -1}, &other), 0);
    hr_guard_free(other); /* the option decides: the variable is not looked at */
    assert_int_equal(sentences, 3);
}

static void a_wrong_history_file_is_named(void **state)
{
    (void)state;
    hr_guard *other;
    hr_message_set(take, &sentences);
    assert_int_equal(hr_guard_new(&(hr_guard_options){.history_file = "/dev/full"}, &other), -EINVAL);
    assert_string_equal(sentence, "no guard is made: history_file is '/dev/full', which is no regular file");
    assert_int_equal(hr_guard_new(&(hr_guard_options){.history_file = "/"}, &other), -EINVAL);
    assert_string_equal(sentence, "no guard is made: history_file is '/', which is no regular file");
    hr_guard_options small = {.history_file = "/dev/full", .history_file_bytes = 1000};
    assert_int_equal(hr_guard_new(&small, &other), -EINVAL);
    assert_string_equal(sentence,
                        "no guard is made: history_file_bytes is 1000; write at least 65536, or 0 for 16 MiB");
    assert_int_equal(sentences, 3);
}

static void thresholds_that_contradict_each_other_are_named(void **state)
{
    (void)state;
    hr_guard *other;
    hr_message_set(take, &sentences);
    assert_int_equal(hr_guard_new(&(hr_guard_options){.warn_at = 0.9, .degrade_at = 0.85}, &other), -EINVAL);
    assert_string_equal(sentence, "no guard is made: warn_below 0.75 < warn_at 0.9 <= degrade_at 0.85 < critical_at "
                                  "0.925 <= 1 and recover_below 0.8 < degrade_at do not all hold");
    assert_int_equal(hr_guard_new(&(hr_guard_options){.critical_at = 90}, &other), -EINVAL); /* a per cent */
    assert_non_null(strstr(sentence, " < critical_at 90 <= 1 "));
    assert_int_equal(sentences, 2);
}

/* Where nobody takes sentences, standard error has each once, however often a program tries. */
static void standard_error_has_it_once(void **state)
{
    (void)state;
    hr_guard *other;
    char text[1024] = "";
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    setenv("HEADROOM_LIMIT", "much", 1);
    dup2(ends[1], STDERR_FILENO);
    int first = hr_guard_new(NULL, &other), second = hr_guard_new(NULL, &other);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_int_equal(first, -EINVAL);
    assert_int_equal(second, -EINVAL);
    assert_true(length > 0);
    assert_string_equal(text, "headroom: no guard is made: the environment variable HEADROOM_LIMIT is 'much'; write a "
                              "size such as 512M or 1.5GiB, a share such as 80%, or none\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(charges_beyond_a_limit_are_granted_and_counted),
        TEST(blocks_beyond_a_limit_are_there),
        TEST(a_block_beyond_its_budget_and_the_lease_counts_once),
        TEST(requests_are_admitted_whatever_the_level),
        TEST(nobody_is_asked_for_memory),
        TEST(caches_and_pools_do_not_yield),
        TEST(every_report_tells),
        TEST(threads_are_never_refused),
        TEST(the_environment_says_it_too),
        TEST(a_wrong_variable_is_named),
        TEST(a_wrong_history_file_is_named),
        TEST(thresholds_that_contradict_each_other_are_named),
        TEST(standard_error_has_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
