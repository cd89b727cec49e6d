/* SPDX-License-Identifier: Apache-2.0 */
/* Counts lines, words and bytes of input of any size, in a few MiB.
 *
 *     wordcount [--workers N] [--naive] [FILE]     "-" is the standard input; without FILE it counts itself
 *
 * The counting of a chunk is on_work: it runs on several threads at once. Whether a word goes on depends on the chunk
 * before, so that is on_chunk: in order, one at a time. --naive does what many programs do, and reads the file whole:
 * under a memory limit it is killed.
 */
#include <headroom/headroom.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct counts {
    uint64_t lines, words, bytes;
    bool begins_inside, ends_inside; /* in a word */
};

struct counter {
    bool is_space[256];
    struct counts total;
    struct counts parts[HR_BUFFERS_MAX]; /* of the chunks under way, of which there are no more than buffers */
};

static struct counts count(const struct counter *counter, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    struct counts counts = {.bytes = size, .begins_inside = size && !counter->is_space[bytes[0]]};
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        if (counter->is_space[bytes[i]]) {
            inside = false;
            counts.lines += bytes[i] == '\n';
        } else if (!inside) {
            inside = true;
            counts.words++;
        }
    }
    counts.ends_inside = inside;
    return counts;
}

static void add(struct counts *total, const struct counts *part)
{
    total->lines += part->lines;
    total->words += part->words - (total->ends_inside && part->begins_inside); /* one word, cut in two */
    total->bytes += part->bytes;
    total->ends_inside = part->ends_inside;
}

static int count_chunk(void *context, hr_chunk *chunk)
{
    struct counter *counter = context;
    struct counts *part = &counter->parts[chunk->index % HR_BUFFERS_MAX];
    *part = count(counter, chunk->data, chunk->size);
    chunk->result = part;
    return 0;
}

static int add_chunk(void *context, const hr_chunk *chunk)
{
    struct counter *counter = context;
    add(&counter->total, chunk->result);
    return 0;
}

static int count_in_chunks(struct counter *counter, int fd, unsigned workers)
{
    hr_guard *guard; /* sees the limit, and pays for the buffers */
    int error = hr_guard_new(NULL, &guard);
    if (error)
        return error;
    hr_stream_options options = {
        .reader = hr_reader_fd(fd),
        .buffer_bytes = 256 << 10,
        .workers = workers,
        .ordered = true,
        .guard = guard,
        .on_work = count_chunk,
        .on_chunk = add_chunk,
        .context = counter,
    };
    hr_stream_result result;
    error = hr_stream_run(&options, &result);
    if (error)
        fprintf(stderr, "wordcount: stopped at byte %llu\n", (unsigned long long)result.offset);
    hr_guard_free(guard);
    return error;
}

static int count_whole(struct counter *counter, int fd)
{
    char *whole = NULL;
    size_t size = 0, room = 0;
    ssize_t got;
    do {
        if (size == room) {
            room = room ? 2 * room : 1 << 20;
            char *grown = realloc(whole, room);
            if (!grown) {
                free(whole);
                return -ENOMEM;
            }
            whole = grown;
        }
        got = read(fd, whole + size, room - size);
        size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    counter->total = count(counter, whole, size);
    free(whole);
    return got < 0 ? -errno : 0;
}

struct options {
    const char *path;
    unsigned workers; /* beside the thread that reads */
    bool naive;
};

static bool parse_workers(const char *text, unsigned *ret_workers)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    unsigned long workers = strtoul(text, &end, 10);
    if (workers > HR_WORKERS_MAX || *end)
        return false;
    *ret_workers = (unsigned)workers;
    return true;
}

static bool parse(char **words, struct options *ret_options)
{
    struct options options = {0};
    for (; *words; words++) {
        bool is_file = **words != '-' || strcmp(*words, "-") == 0;
        if (strcmp(*words, "--naive") == 0)
            options.naive = true;
        else if (strcmp(*words, "--workers") == 0 && parse_workers(words[1], &options.workers))
            words++;
        else if (is_file && !options.path)
            options.path = *words;
        else
            return false;
    }
    if (!options.path)
        options.path = "/proc/self/exe";
    *ret_options = options;
    return true;
}

int main(int argc, char **argv)
{
    static struct counter counter;
    struct options options;
    if (argc < 1 || !parse(argv + 1, &options)) {
        fprintf(stderr,
                "usage: wordcount [--workers N] [--naive] [FILE]\n"
                "N is from 0 to %d; FILE - is the standard input; without FILE it counts itself, /proc/self/exe\n",
                HR_WORKERS_MAX);
        return 2;
    }
    for (int byte = 0; byte < 256; byte++)
        counter.is_space[byte] = isspace(byte) || byte == '\0';
    int fd = strcmp(options.path, "-") == 0 ? STDIN_FILENO : open(options.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(options.path);
        return 1;
    }
    int error = options.naive ? count_whole(&counter, fd) : count_in_chunks(&counter, fd, options.workers);
    close(fd);
    if (error) {
        fprintf(stderr, "wordcount: %s: %s\n", options.path, strerror(-error));
        return 1;
    }
    printf("%llu %llu %llu\n", (unsigned long long)counter.total.lines, (unsigned long long)counter.total.words,
           (unsigned long long)counter.total.bytes);
    if (fflush(stdout) != 0) {
        perror("wordcount: standard output");
        return 1;
    }
    return 0;
}
