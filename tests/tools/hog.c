/* SPDX-License-Identifier: Apache-2.0 */
/* A program that takes memory, page by page, and says "done".
 *
 *     hog SIZE [--rate=MB/s] [--deaf] [--on-term=STATUS] [--pause=MS] [--drop-on-usr1] [--saw=N] [--wait]
 *
 * --rate       its growth (400; 0: as fast as it can)
 * --deaf       SIGTERM is ignored
 * --on-term    SIGTERM ends it with this status, --pause later
 * --drop-on-usr1  SIGUSR1 gives everything back, and it begins anew once
 * --saw        takes and gives back N times
 * --wait       stays until a signal ends it
 */
#include <headroom/base.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP (UINT64_C(64) << 10)

static volatile sig_atomic_t dropped;
static int status_on_term, pause_ms;

static void drop(int signal)
{
    (void)signal;
    dropped = 1;
}

static void end(int signal)
{
    (void)signal;
    usleep((useconds_t)pause_ms * 1000);
    _exit(status_on_term);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static char *map(uint64_t bytes)
{
    char *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        perror("hog");
        exit(1);
    }
    madvise(block, bytes, MADV_NOHUGEPAGE);
    return block;
}

/* Takes memory. Gives the block. */
static char *take(uint64_t bytes, double rate)
{
    char *block = map(bytes);
    double begin = now();
    for (uint64_t at = 0; at < bytes; at += STEP) {
        if (dropped == 1) { /* gives back what it has, and takes no more than a half */
            dropped = 2;
            munmap(block, bytes);
            bytes /= 2;
            block = map(bytes);
            at = 0;
            begin = now();
        }
        memset(block + at, 1, bytes - at < STEP ? bytes - at : STEP);
        double ahead = rate > 0 ? (double)at / (rate * 1e6) - (now() - begin) : 0;
        if (ahead > 0)
            usleep((useconds_t)(ahead * 1e6));
    }
    return block;
}

int main(int argc, char **argv)
{
    uint64_t bytes;
    double rate = 400;
    int saw = 1;
    bool waits = false;
    if (argc < 2 || hr_size_parse(argv[1], &bytes) != 0)
        return 2;
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (sscanf(word, "--rate=%lf", &rate) == 1 || sscanf(word, "--saw=%d", &saw) == 1 ||
            sscanf(word, "--pause=%d", &pause_ms) == 1)
            continue;
        if (sscanf(word, "--on-term=%d", &status_on_term) == 1)
            signal(SIGTERM, end);
        else if (strcmp(word, "--deaf") == 0)
            signal(SIGTERM, SIG_IGN);
        else if (strcmp(word, "--drop-on-usr1") == 0)
            signal(SIGUSR1, drop);
        else if (strcmp(word, "--wait") == 0)
            waits = true;
        else
            return 2;
    }
    for (int i = 0; i < saw; i++) {
        char *block = take(bytes, rate);
        if (saw > 1 && munmap(block, bytes) == 0)
            usleep(600000);
    }
    puts("done");
    fflush(stdout);
    while (waits)
        pause();
    return 0;
}
