/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of reader gives every byte once, in order, however it is cut; and says where it failed. */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/drip.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 20000 /* some pages: buffers are pages at least */

static char input[SIZE];
static hrt_sink sink;

static int set_up(void **state)
{
    (void)state;
    memset(&sink, 0, sizeof sink);
    hrt_fill_lines(input, SIZE);
    return 0;
}

static int run(hr_reader reader, hr_stream_result *ret_result)
{
    hr_stream_options options = {.reader = reader, .buffer_bytes = 4096, .on_chunk = hrt_sink_take, .context = &sink};
    return hr_stream_run(&options, ret_result);
}

static void assert_all(hr_reader reader, const char *method)
{
    hr_stream_result result;
    memset(&sink, 0, sizeof sink);
    assert_int_equal(run(reader, &result), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
    assert_int_equal(result.bytes, SIZE);
    assert_int_equal(result.offset, SIZE);
    assert_int_equal(result.chunks, sink.chunks);
    assert_int_equal(result.buffers_peak_bytes, 4096);
    assert_string_equal(result.method, method);
}

/* Regression, strategy 6: a reader that returns "hello" together with end-of-file is processed as nothing by the
 * source, with no error. */
static void source_6_bytes_with_the_end_are_processed(void **state)
{
    (void)state;
    hrt_drip drip = {.data = "hello", .size = 5, .end_together = true};
    hr_stream_result result;
    assert_int_equal(run(hr_reader_custom(hrt_drip_read, &drip), &result), 0);
    assert_true(hrt_sink_has(&sink, "hello", 5));
    assert_int_equal(result.bytes, 5);
    assert_int_equal(drip.calls, 1); /* and it is not asked again */
}

/* Regression, strategy 6: the source's error says nothing of where. */
static void source_6_errors_carry_the_offset_reached(void **state)
{
    (void)state;
    for (size_t fail_at = 0; fail_at < SIZE; fail_at += 1777) {
        hrt_drip drip = {.data = input, .size = SIZE, .step = 500, .fail_at = fail_at, .fail_with = -EIO};
        hr_stream_result result;
        memset(&sink, 0, sizeof sink);
        assert_int_equal(run(hr_reader_custom(hrt_drip_read, &drip), &result), -EIO);
        assert_int_equal(result.offset, drip.done);
        assert_true(result.offset >= fail_at && result.offset < fail_at + 500);
        assert_true(hrt_sink_has(&sink, input, drip.done)); /* what came before it was processed */
    }
}

static void callbacks_of_every_cut(void **state)
{
    (void)state;
    const size_t steps[] = {1, 2, 7, 4095, 4096, 4097, 0, HRT_DRIP_RANDOM};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (int together = 0; together < 2; together++) {
            hrt_drip drip = {.data = input, .size = SIZE, .step = steps[i], .end_together = together, .seed = 5};
            assert_all(hr_reader_custom(hrt_drip_read, &drip), "callback");
        }
    }
}

static ssize_t promise_too_much(void *self, void *buffer, size_t size, bool *ret_end)
{
    (void)self, (void)buffer, (void)ret_end;
    return (ssize_t)size + 1;
}

static void a_reader_that_gives_more_than_fits_is_an_error(void **state)
{
    (void)state;
    hr_stream_result result;
    assert_int_equal(run(hr_reader_custom(promise_too_much, NULL), &result), -EINVAL);
    assert_int_equal(sink.chunks, 0);
}

static void memory(void **state)
{
    (void)state;
    assert_all(hr_reader_memory(input, SIZE), "copy");
    hr_stream_result result;
    memset(&sink, 0, sizeof sink);
    assert_int_equal(run(hr_reader_memory(NULL, 0), &result), 0);
    assert_int_equal(sink.chunks, 0);
}

/* ── descriptors ────────────────────────────────────────────────────────────────────────────────────────────────── */

static int file_of_input(void)
{
    char path[] = "/tmp/headroom-flow-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(fd, input, SIZE), SIZE);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void files_from_where_they_stand(void **state)
{
    (void)state;
    int fd = file_of_input();
    assert_all(hr_reader_fd(fd), "read, sequential");
    assert_int_equal(lseek(fd, 1234, SEEK_SET), 1234);
    memset(&sink, 0, sizeof sink);
    hr_stream_result result;
    assert_int_equal(run(hr_reader_fd(fd), &result), 0);
    assert_true(hrt_sink_has(&sink, input + 1234, SIZE - 1234)); /* offsets count from there */
    close(fd);
}

static void a_file_stands_at_the_offset_reached_after_an_error(void **state)
{
    (void)state;
    int fd = file_of_input();
    sink.fail_chunk = 3, sink.fail_with = -EPERM;
    hr_stream_result result;
    assert_int_equal(run(hr_reader_fd(fd), &result), -EPERM);
    assert_int_equal(result.offset, 8192);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 8192);
    /* So another run goes on there; or one that begins anew passes over what is done. */
    size_t done = sink.size;
    sink.fail_chunk = 0;
    hr_stream_options options = {
        .reader = hr_reader_fd(fd), .offset = 8192, .on_chunk = hrt_sink_take, .context = &sink};
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    hr_stream_run(&options, &result);
    assert_int_equal(result.offset, SIZE);
    assert_int_equal(sink.size, SIZE);
    assert_memory_equal(sink.data + done, input + done, SIZE - done);
    close(fd);
}

static void what_cannot_seek_is_read_over(void **state)
{
    (void)state;
    hrt_drip drip = {.data = input, .size = SIZE, .step = 777};
    hr_stream_options options = {.reader = hr_reader_custom(hrt_drip_read, &drip),
                                 .offset = 10000,
                                 .buffer_bytes = 4096,
                                 .on_chunk = hrt_sink_take,
                                 .context = &sink};
    hr_stream_result result;
    assert_int_equal(hr_stream_run(&options, &result), 0);
    assert_int_equal(result.offset, SIZE);
    assert_int_equal(result.bytes, SIZE - 10000);
    assert_memory_equal(sink.data, input + 10000, SIZE - 10000);
}

static void assert_ends_at(hr_reader reader, uint64_t end, uint64_t offset, unsigned workers)
{
    hr_stream_options options = {.reader = reader,
                                 .offset = offset,
                                 .workers = workers,
                                 .delimiter = workers ? '\n' : 0,
                                 .on_chunk = hrt_sink_take,
                                 .context = &sink};
    hr_stream *stream;
    hr_stream_result result;
    assert_int_equal(hr_stream_new(&options, &stream), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(hr_stream_continue(stream, &result), -ERANGE);
        assert_int_equal(result.offset, end);
        assert_int_equal(result.bytes, 0);
    }
    hr_stream_free(stream);
    assert_int_equal(sink.chunks, 0);
}

/* Regression: it was a success, at an offset that nobody had reached. */
static void input_that_ends_before_the_offset_is_an_error(void **state)
{
    (void)state;
    const uint64_t offsets[] = {SIZE + 1, SIZE + 5000, UINT64_MAX};
    for (unsigned how = 0; how < 6; how++) {
        unsigned workers = how / 3;
        uint64_t offset = offsets[how % 3];
        assert_ends_at(hr_reader_memory(input, SIZE), SIZE, offset, workers);
        hrt_drip drip = {.data = input, .size = SIZE, .end_together = workers};
        assert_ends_at(hr_reader_custom(hrt_drip_read, &drip), SIZE, offset, workers);
        int fd = file_of_input(), ends[2];
        for (off_t start = 0; start < 2000; start += 1000) {
            assert_int_equal(lseek(fd, start, SEEK_SET), start);
            assert_ends_at(hr_reader_fd(fd), SIZE - (uint64_t)start, offset, workers);
            assert_int_equal(lseek(fd, 0, SEEK_CUR), SIZE);
        }
        close(fd);
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], input, SIZE), SIZE);
        close(ends[1]);
        assert_ends_at(hr_reader_fd(ends[0]), SIZE, offset, workers);
        close(ends[0]);
    }
    hr_stream_options options = {.reader = hr_reader_memory(input, SIZE), .offset = SIZE, .on_chunk = hrt_sink_take};
    assert_int_equal(hr_stream_run(&options, NULL), 0); /* what ends there has been processed */
}

struct writer {
    int fd;
    size_t step;
    pthread_t thread;
};

static void *write_in_steps(void *argument)
{
    struct writer *writer = argument;
    for (size_t done = 0; done < SIZE;) {
        size_t length = SIZE - done < writer->step ? SIZE - done : writer->step;
        ssize_t put = write(writer->fd, input + done, length);
        if (put <= 0)
            break;
        done += (size_t)put;
        if (writer->step > 1 && done % 5 == 0)
            usleep(100); /* so that the reader finds nothing at times */
    }
    close(writer->fd);
    return NULL;
}

static void pipes_and_sockets(void **state)
{
    (void)state;
    hr_cancel *cancel;
    assert_int_equal(hr_cancel_new(&cancel), 0);
    const size_t steps[] = {1, 700, SIZE};
    for (int how = 0; how < 24; how++) {
        int ends[2];
        if (how & 1)
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        else
            assert_int_equal(pipe(ends), 0);
        if (how & 2) /* EAGAIN while there is nothing */
            assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        struct writer writer = {.fd = ends[1], .step = steps[how / 8]};
        assert_int_equal(pthread_create(&writer.thread, NULL, write_in_steps, &writer), 0);
        hr_stream_options options = {.reader = hr_reader_fd(ends[0]),
                                     .buffer_bytes = 4096,
                                     .on_chunk = hrt_sink_take,
                                     .context = &sink,
                                     .cancel = how & 4 ? cancel : NULL};
        hr_stream_result result;
        memset(&sink, 0, sizeof sink);
        assert_int_equal(hr_stream_run(&options, &result), 0);
        pthread_join(writer.thread, NULL);
        assert_true(hrt_sink_has(&sink, input, SIZE));
        assert_int_equal(strncmp(result.method, how & 4 ? "poll and read" : "read", how & 4 ? 13 : 4), 0);
        assert_int_equal(strstr(result.method, "pipe widened") != NULL, !(how & 1)); /* sockets are not pipes */
        close(ends[0]);
    }
    hr_cancel_free(cancel);
}

static void what_cannot_be_read(void **state)
{
    (void)state;
    hr_stream_result result;
    assert_int_equal(run(hr_reader_fd(-1), &result), -EBADF);
    int folder = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(run(hr_reader_fd(folder), &result), -EISDIR);
    close(folder);
    int fd = open("/tmp", O_TMPFILE | O_WRONLY, 0600);
    if (fd >= 0)
        assert_int_equal(run(hr_reader_fd(fd), &result), -EBADF);
    close(fd);
    assert_int_equal(run((hr_reader){0}, &result), -EINVAL);
    assert_int_equal(run(hr_reader_file(NULL), &result), -EINVAL);
    assert_int_equal(run(hr_reader_custom(NULL, NULL), &result), -EINVAL);
    assert_int_equal(run(hr_reader_folder(NULL), &result), -EINVAL);
    assert_int_equal(run(hr_reader_memory(NULL, 1), &result), -EINVAL);
}

/* Regression: a file opened with O_DIRECT failed in its midst, with records, as soon as a read was not aligned. */
static void direct_files_without_records(void **state)
{
    (void)state;
    int fd = file_of_input(), ends[2];
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int direct = open(path, O_RDONLY | O_DIRECT);
    if (direct < 0) {
        print_message("skipped: this file system has no O_DIRECT\n");
    } else {
        assert_int_equal(fdatasync(fd), 0);
        assert_all(hr_reader_fd(direct), "read, sequential");
        assert_int_equal(lseek(direct, 0, SEEK_SET), 0);
        hr_stream_options options = {.reader = hr_reader_fd(direct), .on_chunk = hrt_sink_take, .context = &sink};
        options.delimiter = '\n';
        assert_int_equal(hr_stream_run(&options, NULL), -ENOTSUP);
        options.delimiter = 0, options.record_bytes = 100;
        assert_int_equal(hr_stream_run(&options, NULL), -ENOTSUP);
        close(direct);
    }
    close(fd);
    memset(&sink, 0, sizeof sink);
    assert_int_equal(pipe2(ends, O_DIRECT), 0);
    (void)fcntl(ends[0], F_SETFL, O_DIRECT); /* of a pipe it means something else */
    assert_int_equal(write(ends[1], input, SIZE), SIZE);
    close(ends[1]);
    hr_stream_options options = {
        .reader = hr_reader_fd(ends[0]), .delimiter = '\n', .on_chunk = hrt_sink_take, .context = &sink};
    assert_int_equal(hr_stream_run(&options, NULL), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
    close(ends[0]);
}

static void files_whose_size_is_a_lie(void **state)
{
    (void)state;
    int fd = open("/proc/self/status", O_RDONLY);
    assert_true(fd >= 0);
    hr_stream_result result;
    assert_int_equal(run(hr_reader_fd(fd), &result), 0);
    assert_true(result.bytes > 100);
    close(fd);
}

/* ── FILEs ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static ssize_t cookie_read(void *cookie, char *buffer, size_t size)
{
    bool end = false;
    ssize_t got = hrt_drip_read(cookie, buffer, size, &end);
    if (got < 0) {
        errno = (int)-got;
        return -1;
    }
    return got;
}

static FILE *file_of_drip(hrt_drip *drip)
{
    FILE *file = fopencookie(drip, "r", (cookie_io_functions_t){.read = cookie_read});
    assert_non_null(file);
    return file;
}

static void files_of_stdio(void **state)
{
    (void)state;
    const size_t steps[] = {1, 13, 5000, 0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        hrt_drip drip = {.data = input, .size = SIZE, .step = steps[i]};
        FILE *file = file_of_drip(&drip);
        assert_all(hr_reader_file(file), "fread");
        fclose(file);
    }
    FILE *file = fmemopen(input, SIZE, "r");
    assert_int_equal(fgetc(file), input[0]); /* the rest of what stdio has in its buffer comes first */
    hr_stream_result result;
    memset(&sink, 0, sizeof sink);
    assert_int_equal(run(hr_reader_file(file), &result), 0);
    assert_true(hrt_sink_has(&sink, input + 1, SIZE - 1));
    fclose(file);
}

static void errors_of_stdio_come_after_what_came_before_them(void **state)
{
    (void)state;
    hrt_drip drip = {.data = input, .size = SIZE, .step = 1000, .fail_at = 5000, .fail_with = -EIO};
    FILE *file = file_of_drip(&drip);
    hr_stream_result result;
    assert_int_equal(run(hr_reader_file(file), &result), -EIO);
    assert_int_equal(result.offset, 5000);
    assert_true(hrt_sink_has(&sink, input, 5000));
    fclose(file);

    memset(&sink, 0, sizeof sink); /* and an interrupted call is none */
    hrt_drip interrupted = {.data = input, .size = SIZE, .step = 1000, .fail_at = 5000, .fail_with = -EINTR};
    file = file_of_drip(&interrupted);
    assert_int_equal(run(hr_reader_file(file), &result), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
    fclose(file);
}

static void one_reader_can_stand_on_another(void **state)
{
    (void)state;
    hr_reader reader = hr_reader_memory("abc", 3);
    char buffer[2];
    bool end = true;
    assert_int_equal(hr_reader_read(&reader, NULL, buffer, 2, &end), 2);
    assert_false(end);
    assert_int_equal(hr_reader_read(&reader, NULL, buffer, 2, &end), 1);
    assert_true(end);
    reader = (hr_reader){0};
    assert_int_equal(hr_reader_read(&reader, NULL, buffer, 2, &end), -EINVAL);
    assert_int_equal(hr_reader_read(NULL, NULL, buffer, 2, &end), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(source_6_bytes_with_the_end_are_processed, set_up),
        cmocka_unit_test_setup(source_6_errors_carry_the_offset_reached, set_up),
        cmocka_unit_test_setup(callbacks_of_every_cut, set_up),
        cmocka_unit_test_setup(a_reader_that_gives_more_than_fits_is_an_error, set_up),
        cmocka_unit_test_setup(memory, set_up),
        cmocka_unit_test_setup(files_from_where_they_stand, set_up),
        cmocka_unit_test_setup(a_file_stands_at_the_offset_reached_after_an_error, set_up),
        cmocka_unit_test_setup(what_cannot_seek_is_read_over, set_up),
        cmocka_unit_test_setup(input_that_ends_before_the_offset_is_an_error, set_up),
        cmocka_unit_test_setup(pipes_and_sockets, set_up),
        cmocka_unit_test_setup(what_cannot_be_read, set_up),
        cmocka_unit_test_setup(direct_files_without_records, set_up),
        cmocka_unit_test_setup(files_whose_size_is_a_lie, set_up),
        cmocka_unit_test_setup(files_of_stdio, set_up),
        cmocka_unit_test_setup(errors_of_stdio_come_after_what_came_before_them, set_up),
        cmocka_unit_test_setup(one_reader_can_stand_on_another, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
