/* SPDX-License-Identifier: Apache-2.0 */
/* With drop_behind nothing of a file stays in the page cache, wherever chunks and runs end. */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/drip.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int file;

#define LARGE ((size_t)24 << 20) /* the cache is given back 8 MiB after 8 MiB */

/* Makes a file of lines whose pages are on the disk: what is dirty stays in the cache. */
static int large_file(void)
{
    char path[] = "/tmp/headroom-flow-XXXXXX";
    static char lines[20000];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    hrt_fill_lines(lines, sizeof lines);
    for (size_t size = 0; size < LARGE; size += sizeof lines)
        assert_int_equal(write(fd, lines, sizeof lines), sizeof lines);
    assert_int_equal(ftruncate(fd, (off_t)LARGE), 0);
    assert_int_equal(fdatasync(fd), 0);
    return fd;
}

/* Counts the pages of the file that are in the cache. */
static size_t count_cached(int fd)
{
    static unsigned char pages[LARGE / 4096];
    size_t count = LARGE / (size_t)sysconf(_SC_PAGESIZE), cached = 0;
    void *mapped = mmap(NULL, LARGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(mapped != MAP_FAILED);
    assert_int_equal(mincore(mapped, LARGE, pages), 0);
    assert_int_equal(munmap(mapped, LARGE), 0);
    for (size_t i = 0; i < count; i++)
        cached += pages[i] & 1;
    return cached;
}

static bool can_be_forgotten(int fd)
{
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    if (count_cached(fd) == 0)
        return true;
    print_message("skipped: this file system's pages do not leave the cache\n");
    return false;
}

static int stop_at(void *context, const hr_chunk *chunk)
{
    const uint64_t *end = context;
    if (chunk->offset + chunk->size <= *end)
        return 0;
    /* Pages that the disk is still bringing at the end stay, as flow.h says: so wait until it has brought all. */
    size_t before = SIZE_MAX, now = 0;
    for (int i = 0; i < 50 && now != before; i++) {
        before = now;
        usleep(100000);
        now = count_cached(file);
    }
    return -EPERM;
}

/* Regression: advice that ended where a chunk does left each folio that chunks share: a fifth of the file. And a run
 * that stopped early left its last 8 MiB, and what the kernel had read ahead. */
static void the_cache_can_be_dropped_behind(void **state)
{
    (void)state;
    uint64_t all = UINT64_MAX, some = 11 << 20;
    const struct {
        off_t stands;
        hr_stream_options options;
    } ways[] = {
        {0, {.context = &all}},
        {0, {.context = &all, .delimiter = '\n'}},
        {0, {.context = &all, .offset = 1}},
        {1234567, {.context = &all}}, /* as a run that goes on */
        {0, {.context = &all, .record_bytes = 128, .buffer_bytes = 12288}},
        {0, {.context = &some}},
        {0, {.context = &some, .delimiter = '\n', .workers = 2, .ordered = true}},
    };
    int fd = file = large_file();
    for (size_t i = 0; i < sizeof ways / sizeof *ways && can_be_forgotten(fd); i++) {
        hr_stream_options options = ways[i].options;
        options.reader = hr_reader_fd(fd), options.drop_behind = true, options.on_chunk = stop_at;
        assert_int_equal(lseek(fd, ways[i].stands, SEEK_SET), ways[i].stands);
        hr_stream_result result;
        assert_int_equal(hr_stream_run(&options, &result), options.context == &some ? -EPERM : 0);
        assert_string_equal(result.method, "read, sequential, cache dropped behind");
        assert_int_equal(count_cached(fd), 0);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_can_be_dropped_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
