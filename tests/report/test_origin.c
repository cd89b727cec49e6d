/* SPDX-License-Identifier: Apache-2.0 */
/* A history file says which command wrote it, and where the limit came from: in each part, whole or not at all. */
#include "support/cmocka.h"
#include "support/history_folder.h"

#include "report/journal.h"
#include "report/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static hr_history_origin origin;

static void copy_file(const char *from, const char *to)
{
    char bytes[8192];
    int source = open(from, O_RDONLY | O_CLOEXEC), target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t size = read(source, bytes, sizeof bytes);
    assert_true(size > 0 && (size_t)size < sizeof bytes);
    assert_int_equal(write(target, bytes, (size_t)size), size);
    close(source);
    close(target);
}

static void a_guards_command_and_the_source_of_its_limit_are_in_its_file(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_figures figures;
    char command[HR_COMMAND_BYTES];
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .history_file = path, .share_lease = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    hr_guard_check(guard);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(hr_history_file_read_origin(path, &origin), 0);
    hri_origin_read_command(command);
    assert_non_null(strstr(command, "test_origin"));
    assert_string_equal(origin.command, command);
    assert_true(*figures.limit_source);
    assert_string_equal(origin.limit_source, figures.limit_source);
    hr_guard_free(guard);
}

static void add(hr_history_writer *writer, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(hr_history_writer_add(writer, &(hr_history_entry){.record.live_bytes = i}), 0);
}

/* It is written once, again when it changes, and into each part: what a full file leaves behind goes with the part
 * before the last one. */
static void it_is_in_each_part_of_a_history(void **state)
{
    (void)state;
    hr_history_writer *writer;
    hr_history_findings findings;
    char long_command[2 * HR_COMMAND_BYTES];
    memset(long_command, 'x', sizeof long_command);
    long_command[sizeof long_command - 1] = '\0';
    assert_int_equal(hr_history_writer_new(path, HRI_JOURNAL_BYTES_MIN, &writer), 0);
    assert_int_equal(hr_history_writer_describe(writer, long_command, NULL), 0);
    add(writer, 1);
    assert_int_equal(hr_history_writer_describe(writer, NULL, "--limit"), 0);
    add(writer, 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(hr_history_writer_describe(writer, long_command, "--limit"), 0);
        add(writer, 1);
    }
    assert_int_equal(hr_history_file_visit(path, NULL, NULL, &findings), 0);
    assert_true(findings.entries == 7 && findings.origin == 5 && findings.unknown == 0);
    assert_int_equal(hr_history_writer_describe(writer, NULL, "headroom limit --set"), 0);
    add(writer, 1000); /* some 160 fit in a part */
    assert_int_equal(hr_history_file_visit(path, NULL, NULL, &findings), 0);
    assert_true(findings.older && findings.entries < 400);
    assert_int_equal(hr_history_file_read_origin(path, &origin), 0);
    assert_int_equal(strlen(origin.command), HR_COMMAND_BYTES - 1);
    assert_string_equal(origin.limit_source, "headroom limit --set");
    unlink(older);
    assert_int_equal(hr_history_file_read_origin(path, &origin), 0);
    assert_int_equal(strlen(origin.command), HR_COMMAND_BYTES - 1);
    hr_history_writer_free(writer);
    assert_int_equal(hr_history_writer_new(path, HRI_JOURNAL_BYTES_MIN, &writer), 0); /* another process */
    assert_int_equal(hr_history_writer_describe(writer, "other", NULL), 0);
    add(writer, 1);
    hr_history_writer_free(writer);
    assert_int_equal(hr_history_file_read_origin(path, &origin), 0);
    assert_string_equal(origin.command, "other");
    assert_string_equal(origin.limit_source, "");
}

/* A file that was written before origins were: it is read, and a writer of today goes on with it. */
static void a_file_without_one_is_read_and_gets_one(void **state)
{
    (void)state;
    const char *source = getenv("HEADROOM_SOURCE_DIR");
    char old[4096];
    hr_history_writer *writer;
    hr_history_findings findings;
    if (!source) {
        print_message("skipped: HEADROOM_SOURCE_DIR does not name the tree\n");
        skip();
    }
    for (unsigned version = 1; version <= HRI_FILE_VERSION; version++) {
        snprintf(old, sizeof old, "%s/tests/fixtures/history/version%u", source, version);
        empty_folder(NULL);
        copy_file(old, path);
        assert_int_equal(hr_history_file_read_origin(path, &origin), -ENODATA);
        assert_int_equal(hr_history_file_visit(path, NULL, NULL, &findings), 0);
        uint64_t before = findings.entries;
        assert_true(before >= 12 && findings.origin == 0);
        assert_int_equal(hr_history_writer_new(path, 0, &writer), 0);
        assert_int_equal(hr_history_writer_describe(writer, "new", "--limit"), 0);
        add(writer, 1);
        hr_history_writer_free(writer);
        assert_int_equal(hr_history_file_visit(path, NULL, NULL, &findings), 0);
        assert_int_equal(findings.entries, before + 1);
        assert_int_equal(findings.unknown + findings.damaged + findings.torn_bytes, 0);
        assert_int_equal(hr_history_file_read_origin(path, &origin), 0);
        assert_string_equal(origin.command, "new");
    }
    assert_int_equal(hr_history_file_read_origin("/none", &origin), -ENOENT);
}

static hri_origin_entry piece_of(int64_t session, size_t number, size_t count, const char *text)
{
    hri_origin_entry entry = {.session = session, .text = HRI_ORIGIN_COMMAND, .number = number, .count = count};
    snprintf(entry.piece, sizeof entry.piece, "%s", text);
    return entry;
}

static void a_damaged_one_leaves_the_one_before_it(void **state)
{
    (void)state;
    hr_history_origin read = {0};
    hri_origin_reader reader = {.origin = &read};
    hri_origin_entry pieces[] = {
        piece_of(1, 1, 2, "b"),                         /* its first piece is missing */
        piece_of(1, 0, 2, "a"), piece_of(1, 1, 2, "b"), /* whole */
        piece_of(2, 0, 3, "c"), piece_of(2, 2, 3, "d"), /* one in the middle is missing */
        piece_of(3, 0, 2, "e"), piece_of(4, 1, 2, "f"), /* of two processes */
        piece_of(3, 1, 2, "g"),
    };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        hri_origin_take(&reader, &pieces[i]);
        assert_int_equal(reader.found, i >= 2);
        assert_string_equal(read.command, i >= 2 ? "ab" : "");
    }
    assert_int_equal(read.session, 1);
}

static void an_entry_comes_back_and_damage_is_seen(void **state)
{
    (void)state;
    unsigned char bytes[HRI_ENTRY_BYTES];
    hri_origin_entry entry = piece_of(5, 3, HRI_ORIGIN_PIECES, ""), again;
    hr_history_entry plain;
    memset(entry.piece, 'n', HRI_ORIGIN_PIECE_BYTES);
    hri_origin_entry_encode(&entry, bytes);
    assert_int_equal(hri_entry_decode(bytes, HRI_FILE_VERSION, &plain), -ENOMSG); /* older readers pass it over */
    assert_true(hri_origin_entry_decode(bytes, HRI_FILE_VERSION, &again));
    assert_memory_equal(&again, &entry, sizeof entry);
    assert_false(hri_origin_entry_decode(bytes, 2, &again));
    for (size_t at = 4; at <= 7; at++) { /* kind, text, number, count */
        unsigned char kept = bytes[at];
        bytes[at] = 200;
        assert_false(hri_origin_entry_decode(bytes, HRI_FILE_VERSION, &again));
        bytes[at] = kept;
    }
}

#define TEST(function) cmocka_unit_test_setup(function, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_guards_command_and_the_source_of_its_limit_are_in_its_file),
        TEST(it_is_in_each_part_of_a_history),
        TEST(a_file_without_one_is_read_and_gets_one),
        TEST(a_damaged_one_leaves_the_one_before_it),
        TEST(an_entry_comes_back_and_damage_is_seen),
    };
    return RUN_IN_FOLDER(tests);
}
