/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of bench_flow: flow_child WAY does WAY with its standard input. It is a program of its own, as small as
 * one that uses headroom is: its resident memory is measured. */
#include "bench.h"
#include "flow_lines.h"
#include "flow_packed.h"

#include <headroom/headroom.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ── work ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static uint64_t lines;
static _Atomic uint64_t digests;

static int count_chunk(void *context, const hr_chunk *chunk)
{
    (void)context;
    lines += count_lines(chunk->data, chunk->size);
    return 0;
}

static int keep_chunk(void *context, const hr_chunk *chunk)
{
    (void)context;
    bench_keep(chunk->data);
    return 0;
}

/* FNV-1a: a byte at a time. */
static int digest_chunk(void *context, const hr_chunk *chunk)
{
    (void)context;
    const uint8_t *bytes = chunk->data;
    uint64_t digest = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < chunk->size; i++)
        digest = (digest ^ bytes[i]) * UINT64_C(1099511628211);
    atomic_fetch_xor(&digests, digest ^ chunk->offset);
    return 0;
}

static zlib_uncompress *uncompress;

static int unpack_chunk(void *context, const hr_chunk *chunk)
{
    (void)context;
    static _Thread_local uint8_t *unpacked; /* not an array: that would be resident in all ways */
    if (!unpacked)
        unpacked = malloc(RECORD_BYTES);
    const uint8_t *data = chunk->data;
    for (size_t at = 0; at < chunk->size;) {
        ssize_t length = hr_frame_length32(NULL, data + at, chunk->size - at);
        unsigned long size = RECORD_BYTES;
        if (uncompress(unpacked, &size, data + at + 4, (unsigned long)length - 4) != 0)
            return -1;
        bench_keep(unpacked);
        at += (size_t)length;
    }
    return 0;
}

/* ── ways ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int read_loop(void)
{
    void *buffer = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_require(buffer != MAP_FAILED, "mmap");
    ssize_t got;
    while ((got = read(STDIN_FILENO, buffer, 1 << 20)) > 0)
        lines += count_lines(buffer, (size_t)got);
    return got < 0;
}

static int map_whole(void)
{
    struct stat facts;
    bench_require(fstat(STDIN_FILENO, &facts) == 0, "fstat");
    void *whole = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, STDIN_FILENO, 0);
    bench_require(whole != MAP_FAILED, "mmap");
    madvise(whole, (size_t)facts.st_size, MADV_SEQUENTIAL);
    lines = count_lines(whole, (size_t)facts.st_size);
    return 0;
}

/* Here and below no function of libc is called before the stream that it does without. The kernel makes 64 KiB around
 * each resident, and the memory of streams alone is measured. */
static bool is(const char *way, const char *name)
{
    while (*way && *way == *name)
        way++, name++;
    return !*name;
}

static unsigned count_workers(const char *way)
{
    while (*way && (*way < '0' || *way > '9'))
        way++;
    return *way ? (unsigned)(*way - '0') : 0;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    int status;
    uncompress = *way == 'u' ? (zlib_uncompress *)zlib_function("uncompress") : NULL;
    if (is(way, "read_loop")) {
        status = read_loop();
    } else if (is(way, "mmap")) {
        status = map_whole();
    } else {
        hr_stream_options options = {.reader = hr_reader_fd(STDIN_FILENO)};
        options.on_chunk = *way == 'c'         ? count_chunk
                           : *way == 'u'       ? unpack_chunk
                           : is(way, "digest") ? digest_chunk
                                               : keep_chunk;
        options.drop_behind = is(way, "drop");
        options.on_frame = *way == 'u' ? hr_frame_length32 : NULL;
        options.workers = count_workers(way);
        status = hr_stream_run(&options, NULL) != 0;
    }
    printf("%llu\n", (unsigned long long)(lines + digests));
    return status;
}
