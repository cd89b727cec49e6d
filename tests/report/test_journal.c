/* SPDX-License-Identifier: Apache-2.0 */
/* Histories on disk: whole after a kill at any byte, bounded, one writer, and honest about full disks and foreign
 * files. */
#include "support/cmocka.h"
#include "support/history_folder.h"

#include "report/codec.h"
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static hri_history history;
static hri_journal journal;

static int set_up(void **state)
{
    empty_folder(state);
    return hri_history_init(&history, 0);
}

static int tear_down(void **state)
{
    (void)state;
    hri_history_destroy(&history);
    return 0;
}

static void start(void)
{
    assert_int_equal(hri_journal_init(&journal, path, HRI_JOURNAL_BYTES_MIN), 0);
    journal.next_record = history.recorded; /* as after a start, of a history of its own */
    journal.next_event = history.happened;
}

static void record(uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++)
        hri_history_add(&history, &(hr_record){.time_ns = (int64_t)i, .live_bytes = i, .rss_bytes = HR_NONE});
}

/* The findings of one reading. */
static struct found {
    hr_history_findings findings;
    uint64_t records, events, first, last;
    bool in_order;
} found;

static int visit(void *context, const hr_history_entry *entry)
{
    (void)context;
    if (entry->is_event) {
        found.events++;
        return 0;
    }
    if (found.records++ == 0)
        found.first = entry->record.live_bytes;
    else
        found.in_order &= entry->record.live_bytes == found.last + 1;
    found.last = entry->record.live_bytes;
    assert_int_equal(entry->record.rss_bytes, HR_NONE);
    return 0;
}

static int read_file(void)
{
    found = (struct found){.in_order = true};
    return hr_history_file_visit(path, visit, NULL, &found.findings);
}

static uint64_t size_of(const char *file)
{
    struct stat status;
    return stat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void write_file(const char *file, const void *bytes, size_t size)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    hr_history_file_figures figures;
    start();
    hri_journal_read(&journal, &figures);
    assert_int_equal(figures.bytes, size_of(path)); /* its head, before anything is written */
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.findings.entries, 0);
    record(1, 40);
    hri_history_note(&history, &(hr_event){.kind = HR_EVENT_RELIEF, .freed_bytes = 7});
    hri_journal_follow(&journal, &history);
    hri_journal_follow(&journal, &history); /* nothing new */
    assert_int_equal(read_file(), 0);       /* also while it is written */
    assert_int_equal(found.records, 40);
    assert_int_equal(found.events, 1);
    assert_true(found.in_order && found.first == 1);
    assert_int_equal(found.findings.torn_bytes + found.findings.damaged, 0);
    hri_journal_destroy(&journal);
    start(); /* another process goes on behind it */
    record(41, 50);
    hri_journal_follow(&journal, &history);
    hri_journal_destroy(&journal);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.records, 50);
    assert_true(found.in_order);
}

static void every_field_comes_back(void **state)
{
    (void)state;
    hr_history_entry in = {.session = -5}, out;
    unsigned char bytes[HRI_ENTRY_BYTES];
    in.record = (hr_record){-1, 2,          3,  4,  5,  6,        HR_CRITICAL,     7,  8,  9, 10,
                            11, UINT64_MAX, 12, 13, 14, 0.931234, "address space", 15, 16, 17};
    hri_entry_encode(&in, bytes);
    assert_int_equal(hri_entry_decode(bytes, HRI_FILE_VERSION, &out), 0);
    assert_int_equal(out.session, -5);
    assert_int_equal(out.record.time_ns, -1);
    assert_int_equal(out.record.level, HR_CRITICAL);
    assert_int_equal(out.record.reliefs, 6);
    assert_int_equal(out.record.cgroup_cache_bytes, UINT64_MAX);
    assert_int_equal(out.record.refusals, 12);
    assert_int_equal(out.record.refusals_degraded, 13);
    assert_int_equal(out.record.refusals_critical, 14);
    assert_int_equal(out.record.would_have_refused, 15);
    assert_int_equal(out.record.would_have_refused_degraded, 16);
    assert_int_equal(out.record.would_have_refused_critical, 17);
    assert_true(out.record.use > 0.9312339 && out.record.use < 0.9312341);
    assert_string_equal(out.record.decided_by, "address space");
    in = (hr_history_entry){.is_event = true, .event = {.time_ns = 1, .wall_ns = 2, .kind = HR_EVENT_PURGE}};
    in.event.from = HR_WARNING, in.event.to = HR_DEGRADED, in.event.freed_bytes = 3, in.event.live_bytes = 4;
    hri_entry_encode(&in, bytes);
    assert_int_equal(hri_entry_decode(bytes, HRI_FILE_VERSION, &out), 0);
    assert_true(out.is_event && out.event.kind == HR_EVENT_PURGE && out.event.from == HR_WARNING);
    assert_true(out.event.to == HR_DEGRADED && out.event.freed_bytes == 3 && out.event.live_bytes == 4);
    in.event = (hr_event){.kind = HR_EVENT_REFUSALS, .refused_by_limit = 8, .refused_by_level = 9, .span_ns = -10};
    in.event.use = 2e12; /* more than there is room for */
    memset(in.event.budget, 'b', sizeof in.event.budget - 1);
    hri_entry_encode(&in, bytes);
    assert_int_equal(hri_entry_decode(bytes, HRI_FILE_VERSION, &out), 0);
    assert_true(out.event.kind == HR_EVENT_REFUSALS && out.event.refused_by_limit == 8);
    assert_true(out.event.refused_by_level == 9 && out.event.span_ns == -10 && out.event.use > 4000);
    assert_string_equal(out.event.budget, in.event.budget);
    assert_string_equal(out.event.decided_by, "");
    assert_int_equal(hri_crc32("123456789", 9), 0xcbf43926); /* the standard's check value */
}

static int visit_old(void *context, const hr_history_entry *entry)
{
    unsigned *counts = context;
    counts[entry->is_event]++;
    if (entry->is_event) {
        assert_true(entry->event.kind <= HR_EVENT_RELIEF);
        assert_int_equal(entry->event.refused_by_limit + entry->event.refused_by_level, 0);
        return 0;
    }
    assert_int_equal(entry->record.rss_bytes, 20 * MIB);
    assert_int_equal(entry->record.limit_bytes, 100 * MIB);
    assert_int_equal(entry->record.cgroup_cache_bytes, HR_NONE);
    bool is_new = entry->record.refusals != HR_NONE;
    assert_int_equal(is_new, counts[0] > 20);
    assert_string_equal(entry->record.decided_by, "");
    return 0;
}

/* A file of version 1, as it was written then: it is read, and a writer of today leaves it as the older part. */
static void a_file_of_the_first_version_is_read(void **state)
{
    (void)state;
    const char *source = getenv("HEADROOM_SOURCE_DIR");
    char old[4096], bytes[4096];
    if (!source) {
        print_message("skipped: HEADROOM_SOURCE_DIR does not name the tree\n");
        skip();
    }
    snprintf(old, sizeof old, "%s/tests/fixtures/history/version1", source);
    unsigned counts[2] = {0};
    hr_history_findings findings;
    assert_int_equal(hr_history_file_visit(old, visit_old, counts, &findings), 0);
    assert_int_equal(counts[0], 20);
    assert_int_equal(counts[1], 4);
    assert_int_equal(findings.entries, 24);
    assert_int_equal(findings.damaged + findings.unknown + findings.torn_bytes, 0);
    int fd = open(old, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    write_file(path, bytes, (size_t)size);
    start();
    hri_history_add(&history,
                    &(hr_record){.rss_bytes = 20 * MIB, .limit_bytes = 100 * MIB, .cgroup_cache_bytes = HR_NONE});
    hri_journal_follow(&journal, &history);
    hri_journal_destroy(&journal);
    counts[0] = counts[1] = 0;
    assert_int_equal(hr_history_file_visit(path, visit_old, counts, &findings), 0);
    assert_true(findings.older);
    assert_int_equal(counts[0], 21);
    assert_int_equal(counts[1], 4);
}

static int visit_second(void *context, const hr_history_entry *entry)
{
    uint64_t *samples = context;
    if (entry->is_event) {
        assert_int_equal(entry->event.kind, HR_EVENT_REFUSALS);
        assert_int_equal(entry->event.refused_by_level, 33);
        assert_string_equal(entry->event.budget, "uploads");
        return 0;
    }
    assert_int_equal(entry->record.refusals, 3 * *samples);
    assert_int_equal(entry->record.refusals_critical, *samples);
    assert_int_equal(entry->record.would_have_refused, 0);
    assert_true(entry->record.use > 0.499 && entry->record.use < 0.501);
    assert_string_equal(entry->record.decided_by, "budget");
    ++*samples;
    return 0;
}

/* A file of version 2, which knows of refusals, and not of those that would have been. */
static void a_file_of_the_second_version_is_read(void **state)
{
    (void)state;
    const char *source = getenv("HEADROOM_SOURCE_DIR");
    char old[4096];
    uint64_t samples = 0;
    hr_history_findings findings;
    if (!source) {
        print_message("skipped: HEADROOM_SOURCE_DIR does not name the tree\n");
        skip();
    }
    snprintf(old, sizeof old, "%s/tests/fixtures/history/version2", source);
    assert_int_equal(hr_history_file_visit(old, visit_second, &samples, &findings), 0);
    assert_int_equal(samples, 12);
    assert_int_equal(findings.entries, 13);
    assert_int_equal(findings.damaged + findings.unknown + findings.torn_bytes, 0);
}

/* Regression: a kill between the two renames of a turning file left FILE and FILE.1 as one, and everything counted
 * twice. */
static void a_kill_while_the_file_turns_counts_nothing_twice(void **state)
{
    (void)state;
    start();
    record(1, 40);
    hri_journal_follow(&journal, &history);
    hri_journal_destroy(&journal);
    assert_int_equal(link(path, spare), 0);
    assert_int_equal(link(path, older), 0);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.records, 40);
    assert_false(found.findings.older);
    start();
    assert_int_equal(access(older, F_OK), -1);
    assert_int_equal(access(spare, F_OK), -1);
    record(41, 41);
    hri_journal_follow(&journal, &history);
    hri_journal_destroy(&journal);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.records, 41);
    assert_true(found.in_order);
}

/* A process that is killed may leave any beginning of what it wrote. */
static void a_torn_tail_is_cut_and_said_at_any_byte(void **state)
{
    (void)state;
    static unsigned char whole[HRI_HEAD_BYTES + 5 * HRI_ENTRY_BYTES];
    start();
    record(1, 5);
    hri_journal_follow(&journal, &history);
    hri_journal_destroy(&journal);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, whole, sizeof whole), (ssize_t)sizeof whole);
    close(fd);
    for (size_t size = 0; size < sizeof whole; size++) {
        size_t entries = size < HRI_HEAD_BYTES ? 0 : (size - HRI_HEAD_BYTES) / HRI_ENTRY_BYTES;
        size_t torn = size < HRI_HEAD_BYTES ? size : (size - HRI_HEAD_BYTES) % HRI_ENTRY_BYTES;
        write_file(path, whole, size);
        int error = read_file();
        assert_int_equal(error, size < HRI_HEAD_BYTES ? -ENODATA : 0);
        if (!error) {
            assert_int_equal(found.records, entries);
            assert_int_equal(found.findings.torn_bytes, torn);
        }
        start(); /* cuts it */
        assert_int_equal(journal.figures.cut_bytes, torn);
        record(entries + 1, entries + 1);
        journal.next_record = history.recorded - 1;
        hri_journal_follow(&journal, &history);
        hri_journal_destroy(&journal);
        assert_int_equal(read_file(), 0);
        assert_int_equal(found.records, entries + 1);
        assert_true(found.in_order);
        assert_int_equal(found.findings.torn_bytes + found.findings.damaged, 0);
    }
}

static void damage_in_the_middle_is_passed_over(void **state)
{
    (void)state;
    start();
    record(1, 20);
    hri_journal_follow(&journal, &history);
    hri_journal_destroy(&journal);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, HRI_HEAD_BYTES + 3 * HRI_ENTRY_BYTES + 50), 1);
    close(fd);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.records, 19);
    assert_int_equal(found.findings.damaged, 1);
}

static void files_of_others_are_left_alone(void **state)
{
    (void)state;
    static const char text[] = "an important letter that is longer than a head of sixty-four bytes, and no history";
    unsigned char head[HRI_HEAD_BYTES];
    assert_int_equal(read_file(), -ENOENT);
    write_file(path, text, sizeof text);
    assert_int_equal(read_file(), -EBADMSG);
    assert_int_equal(hri_journal_init(&journal, path, 0), -EBADMSG);
    assert_int_equal(size_of(path), sizeof text);
    write_file(path, text, 5);
    assert_int_equal(hri_journal_init(&journal, path, 0), -EBADMSG);
    assert_int_equal(size_of(path), 5);
    hri_head_encode(0, head);
    head[8] = 9; /* a version of the future */
    uint32_t sum = hri_crc32(head, HRI_HEAD_BYTES - 4);
    for (unsigned i = 0; i < 4; i++)
        head[HRI_HEAD_BYTES - 4 + i] = (unsigned char)(sum >> (8 * i));
    write_file(path, head, sizeof head);
    assert_int_equal(read_file(), -EPROTONOSUPPORT);
    assert_int_equal(hri_journal_init(&journal, path, 0), -EPROTONOSUPPORT);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(read_file(), -EINVAL);
    assert_int_equal(hri_journal_init(&journal, path, 0), -EINVAL);
    unlink(path);
    assert_int_equal(hri_journal_init(&journal, folder, 0), -EINVAL);
    assert_int_equal(hri_journal_init(&journal, "/nowhere/at/all", 0), -ENOENT);
    assert_int_equal(hri_journal_init(&journal, path, 100), -EINVAL);
    assert_int_equal(hr_history_file_visit(NULL, visit, NULL, NULL), -EINVAL);
    assert_int_equal(hr_history_file_visit(folder, visit, NULL, NULL), -EINVAL);
}

static void two_writers_are_one_too_many(void **state)
{
    (void)state;
    hri_journal second;
    start();
    assert_int_equal(hri_journal_init(&second, path, 0), -EBUSY);
    for (uint64_t i = 1; i < 3000; i++) { /* also after the file has turned */
        record(i, i);
        hri_journal_follow(&journal, &history);
        if (i % 100 == 0)
            assert_int_equal(hri_journal_init(&second, path, 0), -EBUSY);
    }
    hri_journal_destroy(&journal);
    assert_int_equal(hri_journal_init(&second, path, 0), 0);
    hri_journal_destroy(&second);
}

static void it_is_bounded_and_keeps_the_newest(void **state)
{
    (void)state;
    start();
    for (uint64_t i = 1; i <= 5000; i++) {
        record(i, i);
        hri_journal_follow(&journal, &history);
        assert_true(size_of(path) + size_of(older) <= HRI_JOURNAL_BYTES_MIN);
    }
    hri_journal_destroy(&journal);
    assert_int_equal(read_file(), 0);
    assert_true(found.findings.older && found.in_order);
    assert_int_equal(found.last, 5000);
    assert_true(found.records >= HRI_JOURNAL_BYTES_MIN / 2 / HRI_ENTRY_BYTES - 1);
    assert_int_equal(size_of(other), 0);
}

/* A limit on files' size stands for the full disk. No entry of the file is lost, and the entries that the rings still
 * hold are written once there is room again. */
static void a_full_disk_is_said_and_survived(void **state)
{
    (void)state;
    struct rlimit before, little;
    start();
    record(1, 10);
    hri_journal_follow(&journal, &history);
    getrlimit(RLIMIT_FSIZE, &before);
    little = before;
    little.rlim_cur = size_of(path) + HRI_ENTRY_BYTES * 3 + 17;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &little);
    for (uint64_t i = 11; i <= 60; i++) {
        record(i, i);
        hri_journal_follow(&journal, &history);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    hr_history_file_figures figures;
    hri_journal_read(&journal, &figures);
    assert_int_equal(figures.error, -EFBIG);
    assert_true(figures.failures > 0 && figures.lost == 0);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.last, 13);
    assert_int_equal(found.findings.torn_bytes + found.findings.damaged, 0);
    hri_journal_follow(&journal, &history);
    hri_journal_read(&journal, &figures);
    assert_int_equal(figures.error, 0);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.records, 60);
    assert_true(found.in_order);
    setrlimit(RLIMIT_FSIZE, &little);
    record(61, 400); /* more than the ring holds */
    hri_journal_follow(&journal, &history);
    setrlimit(RLIMIT_FSIZE, &before);
    hri_journal_follow(&journal, &history);
    hri_journal_read(&journal, &figures);
    assert_int_equal(figures.lost, 240);
    hri_journal_destroy(&journal);
    assert_int_equal(read_file(), 0);
    assert_int_equal(found.records, 160);
    assert_int_equal(found.last, 400);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(every_field_comes_back),
        TEST(a_file_of_the_first_version_is_read),
        TEST(a_file_of_the_second_version_is_read),
        TEST(a_kill_while_the_file_turns_counts_nothing_twice),
        TEST(a_torn_tail_is_cut_and_said_at_any_byte),
        TEST(damage_in_the_middle_is_passed_over),
        TEST(files_of_others_are_left_alone),
        TEST(two_writers_are_one_too_many),
        TEST(it_is_bounded_and_keeps_the_newest),
        TEST(a_full_disk_is_said_and_survived),
    };
    return RUN_IN_FOLDER(tests);
}
