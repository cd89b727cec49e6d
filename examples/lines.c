/* SPDX-License-Identifier: Apache-2.0 */
/* A stream: input of any size in constant memory.
 *
 *     lines [FILE]        finds the longest line of FILE; without one, of its own program file
 *
 * The stream reads into one buffer and hands on whole lines, as many as fit. The rest of a line that was cut moves to
 * the front of the next buffer. So memory is one buffer, whatever the size of the input. With a guard the buffer is
 * charged. A program that reads the file whole needs as much memory as the file has bytes, and is killed on the first
 * one that is larger than its limit. */
#include <headroom/headroom.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct found {
    uint64_t lines, longest_bytes, longest_offset;
};

static int look_at(void *context, const hr_chunk *chunk)
{
    struct found *found = context;
    const char *line = chunk->data, *end = line + chunk->size;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        uint64_t bytes = (uint64_t)((stop ? stop : end) - line);
        if (bytes > found->longest_bytes) {
            found->longest_bytes = bytes;
            found->longest_offset = chunk->offset + (uint64_t)(line - (const char *)chunk->data);
        }
        found->lines++;
        line = stop ? stop + 1 : end;
    }
    return 0; /* anything else would stop the stream */
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/proc/self/exe";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "lines: %s: %s\n", path, strerror(errno));
        return 1;
    }
    hr_guard *guard;
    if (hr_guard_new(NULL, &guard) != 0)
        return 1;
    struct found found = {0};
    hr_stream_options options = {
        .reader = hr_reader_fd(fd), .delimiter = '\n', .guard = guard, .on_chunk = look_at, .context = &found};
    hr_stream_result result;
    int error = hr_stream_run(&options, &result);
    if (error) /* everything before `offset` was looked at: another run can go on there */
        fprintf(stderr, "lines: %s: %s at byte %llu\n", path, strerror(-error), (unsigned long long)result.offset);
    printf("%llu lines; the longest has %llu bytes, at offset %llu; %llu KiB of buffers\n",
           (unsigned long long)found.lines, (unsigned long long)found.longest_bytes,
           (unsigned long long)found.longest_offset, (unsigned long long)result.buffers_peak_bytes >> 10);
    hr_guard_free(guard);
    close(fd);
    return error ? 1 : 0;
}
