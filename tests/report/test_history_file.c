/* SPDX-License-Identifier: Apache-2.0 */
/* History files of guards and of hr_history_writer: killed at any moment, on a file system that is filled, after a
 * fork. test_journal.c has the file's own rules. */
#include "support/cmocka.h"
#include "support/history_folder.h"

#include "report/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* The findings alone are wanted. */
static int pass_by(void *context, const hr_history_entry *entry)
{
    (void)context, (void)entry;
    return 0;
}

static void reports_contain(hr_guard *guard, hr_format format, const char *text)
{
    static char report[1 << 16];
    assert_in_range(hr_report_format(guard, format, report, sizeof report), 1, sizeof report - 1);
    if (!strstr(report, text))
        fail_msg("missing: %s\nin:\n%s", text, report);
}

/* A small file system over the folder, in a mount namespace of this process's own. */
static void mount_little(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("little", folder, "tmpfs", 0, "size=96k") != 0) {
        print_message("no file system can be mounted here (%s), so none was filled\n", strerror(errno));
        skip();
    }
}

static void fill(const char *file)
{
    char block[4096] = {1};
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void a_filled_file_system_is_in_every_report(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_guard_options options = {
        .limit_bytes = 64 * MIB, .interval_ns = -1, .history_file = path, .history_file_bytes = HRI_JOURNAL_BYTES_MIN};
    hr_history_file_figures figures;
    hr_history_findings findings;
    mount_little();
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    hr_guard_check(guard);
    reports_contain(guard, HR_JSON, "\"errno\": 0");
    fill(other);
    for (int i = 0; i < 60; i++) /* more than the rest of the block */
        hr_guard_check(guard);
    assert_int_equal(hr_history_file_read(guard, &figures), 0);
    assert_int_equal(figures.error, -ENOSPC);
    assert_int_equal(figures.lost, 0);
    reports_contain(guard, HR_JSON, "\"errno\": 28");
    reports_contain(guard, HR_OPENMETRICS, "/history\"} 28\n");
    reports_contain(guard, HR_TEXT, "history_file");
    unlink(other);
    hr_guard_check(guard);
    reports_contain(guard, HR_JSON, "\"errno\": 0");
    hr_guard_free(guard);
    assert_int_equal(hr_history_file_visit(path, pass_by, NULL, &findings), 0);
    assert_true(findings.entries >= 62); /* events too, if there were any */
    assert_int_equal(findings.torn_bytes + findings.damaged, 0);
    assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

/* Killed at any moment: whatever is read is whole, and the next process goes on. */
static void a_killed_guard_leaves_a_history(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            hr_guard *guard;
            hr_guard_options options = {.limit_bytes = 64 * MIB,
                                        .interval_ns = -1,
                                        .history_file = path,
                                        .history_file_bytes = HRI_JOURNAL_BYTES_MIN};
            if (hr_guard_new(&options, &guard) != 0)
                _exit(1);
            for (;;)
                hr_guard_check(guard);
        }
        hr_history_findings findings = {0};
        int error = -ENOENT; /* the first of them has to make the file */
        for (int tries = 0; tries < 1000 && (error || findings.entries == 0); tries++) {
            usleep(10000);
            error = hr_history_file_visit(path, pass_by, NULL, &findings);
        }
        usleep(1711 * (unsigned)round);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(hr_history_file_visit(path, pass_by, NULL, &findings), 0);
        assert_true(findings.entries > 0);
        assert_int_equal(findings.damaged, 0);
    }
}

static void a_guard_writes_and_its_child_does_not(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_history_file_figures figures;
    hr_history_findings findings;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .history_file = path};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_history_file_read(guard, &figures), 0);
    assert_true(figures.is_open);
    hr_guard *second = NULL;
    assert_int_equal(hr_guard_new(&options, &second), -EBUSY);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 10; i++)
            hr_guard_check(guard);
        _exit(hr_history_file_read(guard, &figures) == 0 && !figures.is_open ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    hr_guard_check(guard);
    hr_guard_free(guard);
    assert_int_equal(hr_history_file_visit(path, pass_by, NULL, &findings), 0);
    assert_int_equal(findings.entries, 2);
    assert_int_equal(hr_history_file_read(NULL, &figures), -EINVAL);
}

static void what_is_recorded_by_hand_is_in_the_file(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_history_file_figures figures;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .history_file = path};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    for (unsigned i = 1; i <= 500; i++) { /* more than memory holds */
        assert_int_equal(hr_history_record(guard), 0);
        assert_int_equal(hr_history_file_read(guard, &figures), 0);
        assert_true(figures.entries >= i);
    }
    assert_int_equal(figures.lost, 0);
    hr_guard_free(guard);
}

static int find_written(void *context, const hr_history_entry *entry)
{
    uint64_t *seen = context;
    assert_int_equal(entry->is_event, *seen == 1);
    assert_true(entry->is_event ? entry->event.to == HR_WARNING : entry->record.live_bytes == 4711);
    assert_true(entry->session > 0);
    (*seen)++;
    return 0;
}

static void a_writer_writes_what_it_is_given(void **state)
{
    (void)state;
    hr_history_writer *writer, *second = NULL;
    hr_history_findings findings;
    uint64_t seen = 0;
    assert_int_equal(hr_history_writer_new(NULL, 0, &writer), -EINVAL);
    assert_int_equal(hr_history_writer_new(path, 1, &writer), -EINVAL);
    assert_int_equal(hr_history_writer_new(path, 0, &writer), 0);
    assert_int_equal(hr_history_writer_new(path, 0, &second), -EBUSY);
    assert_null(second);
    hr_history_entry entry = {.record.live_bytes = 4711};
    assert_int_equal(hr_history_writer_add(writer, &entry), 0);
    entry = (hr_history_entry){.is_event = true, .event = {.kind = HR_EVENT_LEVEL, .to = HR_WARNING}};
    assert_int_equal(hr_history_writer_add(writer, &entry), 0);
    assert_int_equal(hr_history_writer_add(writer, NULL), -EINVAL);
    assert_int_equal(hr_history_writer_add(NULL, &entry), -EINVAL);
    hr_history_writer_free(writer);
    hr_history_writer_free(NULL);
    assert_int_equal(hr_history_file_visit(path, find_written, &seen, &findings), 0);
    assert_int_equal(seen, 2);
    assert_int_equal(findings.entries, 2);
}

#define TEST(function) cmocka_unit_test_setup(function, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_filled_file_system_is_in_every_report), TEST(a_killed_guard_leaves_a_history),
        TEST(a_guard_writes_and_its_child_does_not),   TEST(what_is_recorded_by_hand_is_in_the_file),
        TEST(a_writer_writes_what_it_is_given),
    };
    return RUN_IN_FOLDER(tests);
}
