/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static hrt_world world;
static hr_survey *survey;

static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    survey = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_survey_free(survey);
    hrt_world_free(&world);
    return 0;
}

static void look_at_world(void)
{
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = world.root}, &survey), 0);
}

static const hr_ledger *ledger(const char *source)
{
    for (size_t i = 0; i < survey->ledger_count; i++) {
        if (strcmp(survey->ledgers[i].source, source) == 0)
            return &survey->ledgers[i];
    }
    fail_msg("there is no ledger '%s'", source);
    return NULL;
}

static bool is_unseen(const char *words)
{
    for (size_t i = 0; i < survey->unseen_count; i++) {
        if (strstr(survey->unseen[i], words))
            return true;
    }
    return false;
}

static void a_limit_that_is_declared_is_a_ledger(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 40 * MIB, 0);
    assert_int_equal(setenv("HEADROOM_LIMIT", "60%", 1), 0);
    assert_int_equal(setenv("NOMAD_MEMORY_LIMIT", "300", 1), 0);
    look_at_world();
    unsetenv("HEADROOM_LIMIT");
    unsetenv("NOMAD_MEMORY_LIMIT");
    assert_int_equal(survey->declared_limit_bytes, 60 * MIB);
    assert_int_equal(ledger("HEADROOM_LIMIT")->limit_bytes, 60 * MIB);
    assert_true(ledger("HEADROOM_LIMIT")->binds);
    assert_true(is_unseen("NOMAD_MEMORY_LIMIT is '300'"));
    assert_int_equal(survey->finding_count, 1);
    assert_string_equal(survey->findings[0].id, "declared-limit");
    assert_non_null(strstr(survey->findings[0].text, "HEADROOM_LIMIT declares a limit of 60.0 MiB"));
}

static void a_value_that_declares_nothing_is_told(void **state)
{
    (void)state;
    assert_int_equal(setenv("HEADROOM_LIMIT", "much", 1), 0);
    look_at_world();
    unsetenv("HEADROOM_LIMIT");
    assert_true(survey->declared_limit_bytes == HR_NONE);
    assert_true(is_unseen("'much', which is no size"));
}

/* Its environment is the one that it was started with, not the caller's. */
static void another_process_declares_its_own(void **state)
{
    (void)state;
    assert_int_equal(setenv("HEADROOM_LIMIT", "300M", 1), 0);
    pid_t child = fork();
    if (child == 0)
        execlp("sleep", "sleep", "60", (char *)NULL);
    assert_int_equal(setenv("HEADROOM_LIMIT", "200M", 1), 0);
    for (int i = 0; i < 1000; i++) { /* until it has its own environment */
        hr_survey_free(survey);
        survey = NULL;
        assert_int_equal(hr_survey_new(&(hr_survey_options){.pid = child}, &survey), 0);
        if (survey->declared_limit_bytes == 300 * MIB)
            break;
        usleep(10000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    unsetenv("HEADROOM_LIMIT");
    assert_int_equal(survey->declared_limit_bytes, 300 * MIB);
    assert_int_equal(ledger("HEADROOM_LIMIT")->limit_bytes, 300 * MIB);
}

static void another_root_tells_what_a_copy_has(void **state)
{
    (void)state;
    hrt_world_set_process(&world, 10 * MIB, 1000 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 85 * MIB, 5 * MIB);
    look_at_world();
    assert_int_equal(survey->level, HR_WARNING);
    assert_true(fabs(survey->use - 0.85) < 1e-9);
    assert_true(survey->limit_bytes == 100 * MIB);
    assert_string_equal(survey->limit_source, "cgroup v2 /app memory.max");
    assert_int_equal(survey->cgroup_version, 2);
    assert_string_equal(survey->cgroup_path, "/app");
    assert_true(survey->cgroup_bytes == 85 * MIB);
    assert_true(survey->cgroup_cache_bytes == 5 * MIB);
    assert_true(survey->doubtful_bytes == 0);
    assert_true(survey->rss_bytes == 10 * MIB);
    assert_true(survey->host_total_bytes == 16384 * MIB);
    assert_true(survey->host_available_bytes == 1000 * MIB);
    assert_null(survey->allocator);
    for (size_t i = 0; i < survey->signal_count; i++)
        assert_false(survey->signals[i].known);
    assert_int_equal(survey->ledger_count, 4); /* with two resource limits that are none */
    const hr_ledger *group = &survey->ledgers[0];
    assert_string_equal(group->name, "cgroup");
    assert_true(group->binds && group->decides);
    assert_true(group->use_bytes == 85 * MIB && group->limit_bytes == 100 * MIB && group->cache_bytes == 5 * MIB);
    assert_true(strlen(group->measures) > 20 && group->time_ns > 0);
    assert_false(ledger("host memory")->binds);
    assert_int_equal(survey->unseen_count, 0);
}

static void an_ancestor_may_bind(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 20 * MIB, 0);
    hrt_world_write(&world, "/proc/self/cgroup", "0::/app/worker\n");
    hrt_world_write(&world, "/sys/fs/cgroup/app/worker/memory.max", "max\n");
    hrt_world_write(&world, "/sys/fs/cgroup/app/worker/memory.stat", "inactive_anon 1048576\n");
    look_at_world();
    assert_string_equal(survey->cgroup_path, "/app/worker");
    assert_string_equal(survey->limit_source, "cgroup v2 /app memory.max");
    assert_true(survey->cgroup_bytes == 20 * MIB);
    assert_true(survey->ledgers[0].limit_bytes == HR_NONE);
    assert_true(survey->ledgers[0].use_bytes == 1 * MIB); /* unlimited, and shown all the same */
    assert_false(survey->ledgers[0].decides);
}

static void without_a_limited_group_the_host_is_the_limit(void **state)
{
    (void)state;
    hrt_world_set_process(&world, 10 * MIB, 1000 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 20 * MIB, 3 * MIB);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.max", "max\n");
    look_at_world();
    assert_true(survey->limit_bytes == 16384 * MIB);
    assert_string_equal(survey->limit_source, "host memory");
    assert_true(ledger("host memory")->binds);
    assert_true(survey->cgroup_bytes == 20 * MIB); /* the own group's */
    assert_true(survey->cgroup_cache_bytes == 3 * MIB);
}

static void a_limit_of_0_is_full(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 0, 1 * MIB, 0);
    look_at_world();
    assert_true(survey->limit_bytes == 0);
    assert_int_equal(survey->level, HR_CRITICAL);
}

static void an_empty_root_is_no_error(void **state)
{
    (void)state;
    look_at_world();
    assert_true(survey->limit_bytes == HR_NONE);
    assert_null(survey->limit_source);
    assert_int_equal(survey->cgroup_version, 0);
    assert_null(survey->cgroup_path);
    assert_true(survey->cgroup_bytes == HR_NONE);
    assert_int_equal(survey->ledger_count, 0);
    assert_int_equal(survey->level, HR_NORMAL);
    assert_true(is_unseen("/proc/meminfo cannot be read"));
    assert_true(is_unseen("/proc/self/cgroup cannot be read"));
}

static void a_limit_holds_whose_use_is_not_known(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 20 * MIB, 3 * MIB);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.stat", "");
    look_at_world();
    assert_true(survey->limit_bytes == 100 * MIB);
    assert_true(survey->cgroup_bytes == HR_NONE);
    assert_true(survey->ledgers[0].use_bytes == HR_NONE);
    assert_false(survey->ledgers[0].decides);
    assert_int_equal(survey->level, HR_NORMAL);
    assert_true(is_unseen("memory.stat of the cgroup /app"));
}

static void this_process_is_seen_whole(void **state)
{
    (void)state;
    const uint64_t limit = UINT64_C(1) << 46; /* room for what sanitizers map */
    struct rlimit before, data = {.rlim_cur = limit};
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    data.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_DATA, &data), 0);
    int error = hr_survey_new(NULL, &survey);
    setrlimit(RLIMIT_DATA, &before);
    assert_int_equal(error, 0);
    assert_true(ledger("RLIMIT_DATA")->limit_bytes == limit);
    assert_true(ledger("RLIMIT_DATA")->use_bytes < limit);
    assert_true(ledger("RLIMIT_AS")->use_bytes != HR_NONE);
    assert_true(survey->rss_bytes > 0 && survey->rss_bytes < survey->host_total_bytes);
    assert_non_null(survey->allocator);
    assert_int_equal(survey->signal_count, 3);
    for (size_t i = 0; i < survey->signal_count; i++) {
        assert_true(survey->signals[i].known);
        assert_true(strlen(survey->signals[i].detail) > 0);
    }
    size_t binding = 0, deciding = 0;
    for (size_t i = 0; i < survey->ledger_count; i++) {
        binding += survey->ledgers[i].binds;
        deciding += survey->ledgers[i].decides;
    }
    assert_int_equal(binding, 1);
    assert_int_equal(deciding, 1);
}

static void another_process_is_seen_from_outside(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = UINT64_C(1) << 46, .rlim_max = RLIM_INFINITY});
        assert_int_equal(write(ends[1], "x", 1), 1);
        pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    close(ends[1]);
    int error = hr_survey_new(&(hr_survey_options){.pid = child}, &survey);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(error, 0);
    assert_true(ledger("RLIMIT_AS")->limit_bytes == UINT64_C(1) << 46);
    assert_string_equal(survey->allocator, "glibc");
    assert_string_equal(survey->allocator_purge, "malloc_trim(0)");
    assert_string_equal(survey->signals[1].name, "rseq");
    assert_false(survey->signals[1].known);
}

static void what_does_not_exist_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = "/nowhere"}, &survey), -ENOENT);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = "/proc/self/status"}, &survey), -ENOTDIR);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = ""}, &survey), -EINVAL);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.pid = -1}, &survey), -EINVAL);
    assert_int_equal(hr_survey_new(NULL, NULL), -EINVAL);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.pid = child}, &survey), -ESRCH);
    assert_null(survey);
    hr_survey_free(NULL);
}

/* A guard and a survey of one process name the same limits. */
static void a_guard_lists_the_same_ledgers_after_its_budget(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_ledger list[HR_LEDGERS_MAX];
    size_t count = 0;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 1 * MIB, .interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 512 * 1024), 0);
    assert_int_equal(hr_survey_new(NULL, &survey), 0);
    assert_int_equal(hr_guard_ledgers(guard, list, HR_LEDGERS_MAX, &count), 0);
    assert_int_equal(count, survey->ledger_count + 1);
    assert_string_equal(list[0].name, "budget");
    assert_string_equal(list[0].source, "limit_bytes");
    assert_true(list[0].use_bytes == 512 * 1024 && list[0].limit_bytes == 1 * MIB);
    assert_true(list[0].binds && list[0].decides);
    for (size_t i = 1; i < count; i++) {
        assert_string_equal(list[i].source, survey->ledgers[i - 1].source);
        assert_string_equal(list[i].measures, survey->ledgers[i - 1].measures);
        assert_false(list[i].binds || list[i].decides);
    }
    assert_int_equal(hr_guard_ledgers(guard, list, 1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(hr_guard_ledgers(guard, NULL, 0, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(hr_guard_ledgers(guard, NULL, 1, &count), -EINVAL);
    assert_int_equal(hr_guard_ledgers(NULL, list, 1, &count), -EINVAL);
    hr_budget_uncharge(hr_guard_root(guard), 512 * 1024);
    hr_guard_free(guard);
}

static void a_survey_that_stays_shows_what_has_changed(void **state)
{
    (void)state;
    survey = NULL;
    int child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    assert_int_equal(hr_survey_new(&(hr_survey_options){.pid = child}, &survey), 0);
    assert_int_equal(hr_survey_again(survey), -EINVAL);
    hr_survey_free(survey);
    assert_int_equal(hr_survey_again(NULL), -EINVAL);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.pid = child, .stays = true}, &survey), 0);
    size_t ledgers = survey->ledger_count;
    bool known[HR_LEDGERS_MAX]; /* those of groups without a limit too */
    for (size_t i = 0; i < ledgers; i++)
        known[i] = survey->ledgers[i].use_bytes != HR_NONE;
    survey->rss_bytes = 0;
    assert_int_equal(hr_survey_again(survey), 0);
    assert_int_equal(survey->ledger_count, ledgers);
    for (size_t i = 0; i < ledgers; i++)
        assert_int_equal(survey->ledgers[i].use_bytes != HR_NONE, known[i]);
    assert_true(survey->rss_bytes > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(hr_survey_again(survey), -ESRCH);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_limit_that_is_declared_is_a_ledger),
        TEST(a_value_that_declares_nothing_is_told),
        TEST(another_process_declares_its_own),
        TEST(another_root_tells_what_a_copy_has),
        TEST(an_ancestor_may_bind),
        TEST(without_a_limited_group_the_host_is_the_limit),
        TEST(a_limit_of_0_is_full),
        TEST(an_empty_root_is_no_error),
        TEST(a_limit_holds_whose_use_is_not_known),
        TEST(this_process_is_seen_whole),
        TEST(another_process_is_seen_from_outside),
        TEST(what_does_not_exist_is_an_error),
        TEST(a_survey_that_stays_shows_what_has_changed),
        TEST(a_guard_lists_the_same_ledgers_after_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
