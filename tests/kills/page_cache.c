/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: page cache counts as free at the limit, but pages under writeback, dirty pages and pages that are just
 * being read cannot be taken back at once.
 *
 *     page_cache none|write|sync|read|map|map-read|lock|shm SECONDS SEED      in 64 MiB
 *
 * "none" is the control. One thread writes or reads a file of 256 MiB (8 MiB on a tmpfs, for shm) in TMPDIR, or does
 * so through a mapping. Two threads take blocks until one is refused and give back a random part.
 * Right: no kill, and the level is normal within 5 s of the end.
 */
#include "kills/kills.h"

#include <fcntl.h>

#define SLOTS 20000
#define TAKERS 2

typedef void step_fn(int fd, char *mapping, size_t offset);

typedef struct mode {
    const char *name;
    step_fn *step;
    size_t bytes;
    bool written;   /* before it starts */
    int protection; /* of a mapping; 0: none */
} mode;

static hr_guard *guard;
static const mode *chosen;
static atomic_bool stop;
static atomic_long steps, granted, refused;
static uint64_t seed;
static char buffer[MIB];

static void write_step(int fd, char *mapping, size_t offset)
{
    (void)mapping;
    HRT_MUST(pwrite(fd, buffer, sizeof buffer, (off_t)offset) >= 0);
}

static void sync_step(int fd, char *mapping, size_t offset)
{
    write_step(fd, mapping, offset);
    if (steps % 20 == 0)
        fdatasync(fd);
}

static void read_step(int fd, char *mapping, size_t offset)
{
    (void)mapping;
    HRT_MUST(pread(fd, buffer, sizeof buffer, (off_t)offset) >= 0);
}

static void map_step(int fd, char *mapping, size_t offset)
{
    (void)fd;
    for (size_t i = 0; i < sizeof buffer; i += 4096)
        mapping[offset + i] = 1;
}

static void map_read_step(int fd, char *mapping, size_t offset)
{
    (void)fd;
    for (size_t i = 0; i < sizeof buffer; i += 4096)
        *(volatile char *)&mapping[offset + i];
}

static void lock_step(int fd, char *mapping, size_t offset)
{
    (void)fd;
    mlock(mapping + offset, 256 * KIB);
    usleep(2000);
    munlock(mapping + offset, 256 * KIB);
}

/* Grows a file on a tmpfs, and gives all of it back now and then. */
static void shm_step(int fd, char *mapping, size_t offset)
{
    write_step(fd, mapping, offset);
    if (steps % 8 == 0) {
        HRT_MUST(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)chosen->bytes) == 0);
        usleep(10000);
    }
}

static void no_step(int fd, char *mapping, size_t offset)
{
    (void)fd, (void)mapping, (void)offset;
    usleep(1000);
}

static const mode modes[] = {
    {"none", no_step, MIB, false, 0},
    {"write", write_step, 256 * MIB, false, 0},
    {"sync", sync_step, 256 * MIB, false, 0},
    {"read", read_step, 256 * MIB, true, 0},
    {"map", map_step, 256 * MIB, false, PROT_READ | PROT_WRITE},
    {"map-read", map_read_step, 256 * MIB, true, PROT_READ},
    {"lock", lock_step, 256 * MIB, false, PROT_READ | PROT_WRITE},
    {"shm", shm_step, 8 * MIB, false, 0},
};

static int open_file(void)
{
    const char *folder = strcmp(chosen->name, "shm") == 0 ? "/dev/shm" : getenv("TMPDIR");
    int fd = open(folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    HRT_MUST(fd >= 0 && ftruncate(fd, (off_t)chosen->bytes) == 0);
    for (size_t at = 0; chosen->written && at < chosen->bytes; at += sizeof buffer) {
        write_step(fd, NULL, at);
        if (at % (16 * MIB) == 0)
            fdatasync(fd);
    }
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return fd;
}

static void *use_file(void *fd_word)
{
    int fd = (int)(intptr_t)fd_word;
    uint64_t state = hrt_seeded(seed, 1000);
    char *mapping = NULL;
    if (chosen->protection)
        mapping = mmap(NULL, chosen->bytes, chosen->protection, MAP_SHARED, fd, 0);
    HRT_MUST(mapping != MAP_FAILED);
    for (size_t at = 0; !stop; at = (at + sizeof buffer) % chosen->bytes, steps++)
        chosen->step(fd, mapping, hrt_below(&state, 4) ? at : hrt_below(&state, chosen->bytes / MIB) * MIB);
    return NULL;
}

static void *take(void *number)
{
    static char *slots_of[TAKERS][SLOTS];
    char **slots = slots_of[(uintptr_t)number];
    uint64_t state = hrt_seeded(seed, (uintptr_t)number);
    size_t count = 0;
    while (!stop) {
        size_t size = hrt_below(&state, 2) ? 200 + hrt_below(&state, 30000) : 128 * KIB + hrt_below(&state, MIB);
        char *block = count < SLOTS ? hr_alloc(hr_guard_root(guard), size) : NULL;
        if (block) {
            slots[count++] = memset(block, 1, size);
            granted++;
            continue;
        }
        refused++;
        hrt_keep_only(slots, &count, count * hrt_below(&state, 90) / 100, &state);
        usleep((useconds_t)hrt_below(&state, 3000));
    }
    while (count)
        hr_free(slots[--count]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t takers[TAKERS], filer;
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(modes[i].name, argv[1]) == 0)
            chosen = &modes[i];
    }
    HRT_MUST(chosen);
    seed = (uint64_t)hrt_number(argc, argv, 3, 1);
    int fd = open_file();
    HRT_MUST(hr_guard_new(NULL, &guard) == 0);
    HRT_MUST(pthread_create(&filer, NULL, use_file, (void *)(intptr_t)fd) == 0);
    hrt_start(takers, TAKERS, take);
    usleep((useconds_t)hrt_number(argc, argv, 2, 4) * 1000000);
    hrt_show(guard, "full");
    stop = true;
    pthread_join(filer, NULL);
    hrt_join(takers, TAKERS);
    int waited = hr_guard_wait(guard, HR_NORMAL, 5 * SECOND);
    hrt_show(guard, "end");
    printf("steps %ld, granted %ld, refused %ld\n", steps, granted, refused);
    return waited ? HRT_LOCKED_IN : HRT_RIGHT;
}
