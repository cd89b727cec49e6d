/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of streams: counts the lines of its standard input, read by io_uring as fast as that can be. It has a
 * registered file, registered buffers, and the next reads under way while a buffer is counted. Of input that cannot
 * seek one read is under way, since the kernel does not promise the order of two.
 */
#include "bench.h"
#include "flow_lines.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFERS 2
#define BUFFER_BYTES ((size_t)512 << 10)

static struct io_uring ring;
static struct iovec buffers[BUFFERS];
static bool seekable;

static void set_up(void)
{
    int in = STDIN_FILENO;
    bench_require(io_uring_queue_init(BUFFERS, &ring, 0) == 0, "io_uring_queue_init");
    char *bytes =
        mmap(NULL, BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    bench_require(bytes != MAP_FAILED, "mmap");
    for (unsigned i = 0; i < BUFFERS; i++)
        buffers[i] = (struct iovec){bytes + i * BUFFER_BYTES, BUFFER_BYTES};
    bench_require(io_uring_register_buffers(&ring, buffers, BUFFERS) == 0, "io_uring_register_buffers");
    bench_require(io_uring_register_files(&ring, &in, 1) == 0, "io_uring_register_files");
    seekable = lseek(in, 0, SEEK_CUR) >= 0;
    if (seekable)
        (void)posix_fadvise(in, 0, 0, POSIX_FADV_SEQUENTIAL);
    else
        (void)fcntl(in, F_SETPIPE_SZ, 256 << 10); /* as a stream does */
}

static void ask(unsigned buffer, uint64_t offset)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    bench_require(entry != NULL, "io_uring_get_sqe");
    io_uring_prep_read_fixed(entry, 0, buffers[buffer].iov_base, BUFFER_BYTES, seekable ? offset : (uint64_t)-1,
                             (int)buffer);
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, buffer);
    bench_require(io_uring_submit(&ring) == 1, "io_uring_submit");
}

/* The result of the read into this buffer; those of other buffers that come first are kept. */
static int answer(unsigned buffer)
{
    static int kept[BUFFERS];
    static bool is_kept[BUFFERS];
    while (!is_kept[buffer]) {
        struct io_uring_cqe *entry;
        bench_require(io_uring_wait_cqe(&ring, &entry) == 0, "io_uring_wait_cqe");
        kept[io_uring_cqe_get_data64(entry)] = entry->res;
        is_kept[io_uring_cqe_get_data64(entry)] = true;
        io_uring_cqe_seen(&ring, entry);
    }
    is_kept[buffer] = false;
    bench_require(kept[buffer] >= 0, "a read");
    return kept[buffer];
}

int main(void)
{
    set_up();
    uint64_t lines = 0, asked = 0, read = 0;
    unsigned under_way = seekable ? BUFFERS : 1, at = 0;
    for (unsigned i = 0; i < under_way; i++, asked += BUFFER_BYTES)
        ask(i, asked);
    int got;
    while ((got = answer(at)) > 0) {
        if (!seekable)
            ask((at + 1) % BUFFERS, 0);
        lines += count_lines(buffers[at].iov_base, (size_t)got);
        read += (uint64_t)got;
        if (seekable) {
            bench_require((size_t)got == BUFFER_BYTES || read % BUFFER_BYTES == (uint64_t)got, "whole reads");
            ask(at, asked);
            asked += BUFFER_BYTES;
        }
        at = (at + 1) % BUFFERS;
    }
    printf("%llu\n", (unsigned long long)lines);
    return 0;
}
