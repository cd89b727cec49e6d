/* SPDX-License-Identifier: Apache-2.0 */
/* Folders: every file once, none silently passed over, and an error says in which. */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/drip.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

struct listing {
    char text[8192];
    unsigned chunks;
};

static int list_chunk(void *context, const hr_chunk *chunk)
{
    struct listing *listing = context;
    size_t length = strlen(listing->text);
    snprintf(listing->text + length, sizeof listing->text - length, "[%s:%.*s]", chunk->name, (int)chunk->size,
             (const char *)chunk->data);
    listing->chunks++;
    return 0;
}

static void folders_file_by_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/headroom-folder-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    hr_folder *names;
    static struct listing listing;
    hr_stream_options options = {.delimiter = '\n', .on_chunk = list_chunk, .context = &listing};
    hr_stream_result result;
    for (int workers = 0; workers < 3; workers++) { /* an empty one */
        assert_int_equal(hr_folder_new(folder, &names), 0);
        options.reader = hr_reader_folder(names), options.workers = (unsigned)workers, options.ordered = true;
        assert_int_equal(hr_stream_run(&options, &result), 0);
        assert_int_equal(result.chunks, 0);
        hr_folder_free(names);
    }
    put(folder, "a", "first line\nno end");
    put(folder, "b", "");
    put(folder, "c", "third\n");
    snprintf(path, sizeof path, "%s/inside", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0); /* would wait for ever if it were opened as a file is */
    snprintf(path, sizeof path, "%s/dangling", folder);
    assert_int_equal(symlink("nowhere", path), 0);
    for (int workers = 0; workers < 3; workers++) {
        memset(&listing, 0, sizeof listing);
        assert_int_equal(hr_folder_new(folder, &names), 0);
        options.reader = hr_reader_folder(names), options.workers = (unsigned)workers;
        assert_int_equal(hr_stream_run(&options, &result), 0);
        hr_folder_free(names);
        assert_int_equal(result.bytes, 23);
        assert_non_null(strstr(listing.text, "[a:first line\n][a:no end]")); /* a file's end ends its last line */
        assert_non_null(strstr(listing.text, "[c:third\n]"));
        assert_null(strstr(listing.text, "b:"));
    }
    snprintf(path, sizeof path, "rm -r %s", folder);
    assert_int_equal(system(path), 0);
    assert_int_equal(hr_folder_new(folder, &names), -ENOENT);
    assert_int_equal(hr_folder_new("/proc/self/status", &names), -ENOTDIR);
}

/* ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/headroom-folder-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void set_descriptors(rlim_t most)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = most ? most : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static unsigned files;

static int use_up_descriptors(void *context, const hr_chunk *chunk)
{
    (void)context, (void)chunk;
    if (++files == 2)
        set_descriptors(3);
    return 0;
}

/* Regression: a file that could not be opened was off the list, so going on left it out and reported success. */
static void a_file_that_cannot_be_opened_is_tried_again(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        put(folder, (char[]){(char)('a' + i), '\0'}, "some bytes");
    hr_folder *names;
    assert_int_equal(hr_folder_new(folder, &names), 0);
    hr_stream_options options = {.reader = hr_reader_folder(names), .on_chunk = use_up_descriptors};
    hr_stream *stream;
    hr_stream_result result;
    files = 0;
    assert_int_equal(hr_stream_new(&options, &stream), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(hr_stream_continue(stream, &result), -EMFILE);
        assert_int_equal(result.offset, 20);
        assert_non_null(result.name);
        assert_int_equal(strlen(result.name), 1);
        assert_int_equal(result.file_offset, 0);
    }
    set_descriptors(0);
    assert_int_equal(hr_stream_continue(stream, &result), 0);
    assert_int_equal(files, 5);
    assert_null(result.name);
    hr_stream_free(stream);
    hr_folder_free(names);
}

static void one_that_never_can_be_stops_every_run(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/loop", folder);
    assert_int_equal(symlink("loop", path), 0);
    hr_folder *names;
    static struct listing listing;
    assert_int_equal(hr_folder_new(folder, &names), 0);
    hr_stream_options options = {.reader = hr_reader_folder(names), .on_chunk = list_chunk, .context = &listing};
    hr_stream *stream;
    hr_stream_result result;
    assert_int_equal(hr_stream_new(&options, &stream), 0);
    for (int again = 0; again < 3; again++) {
        assert_int_equal(hr_stream_continue(stream, &result), -ELOOP);
        assert_string_equal(result.name, "loop");
    }
    hr_stream_free(stream);
    hr_folder_free(names);
}

static int refuse_the_bad(void *context, const hr_chunk *chunk)
{
    (void)context;
    return memchr(chunk->data, '!', chunk->size) ? -EPERM : 0;
}

/* Where in which file, be it the input or a callback that failed, while workers read ahead. */
static void errors_name_the_file_and_the_place_in_it(void **state)
{
    (void)state;
    static const struct {
        const char *bad;
        size_t record_bytes;
        int error;
        uint64_t file_offset;
    } ways[] = {
        {"0123456789ab", 8, -EBADMSG, 8}, /* cut off */
        {"01234567!9ab", 4, -EPERM, 0},   /* the chunk that was not taken begins with the file */
        {"01234567!9ab", 0, -EPERM, 0},
    };
    for (int i = 0; i < 6; i++)
        put(folder, (char[]){(char)('a' + i), '\0'}, "01234567");
    for (size_t i = 0; i < 4 * sizeof ways / sizeof *ways; i++) {
        hr_folder *names;
        put(folder, "bad", ways[i / 4].bad);
        assert_int_equal(hr_folder_new(folder, &names), 0);
        hr_stream_options options = {.reader = hr_reader_folder(names),
                                     .workers = i % 4,
                                     .ordered = true,
                                     .record_bytes = ways[i / 4].record_bytes,
                                     .on_chunk = refuse_the_bad};
        hr_stream_result result;
        assert_int_equal(hr_stream_run(&options, &result), ways[i / 4].error);
        assert_string_equal(result.name, "bad");
        assert_int_equal(result.file_offset, ways[i / 4].file_offset);
        assert_int_equal(result.offset % 8, 0);
        hr_folder_free(names);
    }
}

/* Regression: a folder read a second time was empty, or began in the midst. */
static void a_folder_is_read_once(void **state)
{
    (void)state;
    static const int first[] = {0, -EPERM};
    for (int i = 0; i < 2; i++) {
        hr_folder *names;
        put(folder, "a", first[i] ? "bytes!" : "some bytes");
        assert_int_equal(hr_folder_new(folder, &names), 0);
        hr_stream_options options = {.reader = hr_reader_folder(names), .on_chunk = refuse_the_bad};
        assert_int_equal(hr_stream_run(&options, NULL), first[i]);
        assert_int_equal(hr_stream_run(&options, NULL), -ESTALE);
        char buffer[8];
        bool end;
        if (!first[i])
            assert_int_equal(hr_reader_read(&options.reader, NULL, buffer, sizeof buffer, &end), -ESTALE);
        hr_folder_free(names);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_file_by_file),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_opened_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_never_can_be_stops_every_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_file_and_the_place_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_is_read_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
