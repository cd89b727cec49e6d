/* SPDX-License-Identifier: Apache-2.0 */
/* A program that knows nothing of headroom, for tests/cli/run_heap.sh: it holds memory of malloc()'s.
 *
 *     hold MIB [MS]              takes it, holds it so long, ends with 0; with 4 where it gets NULL
 *     expect-null MIB            ends with 0 where it gets NULL
 *     until-null BYTES           takes blocks of this size until it gets NULL, says how many MiB, ends with 3
 *     exec MIB COMMAND WORD…     takes it and becomes another program
 *     close-and-hold MIB MS      closes all descriptors first
 *     fork MIB                   takes it; a forked child frees it, which gives nothing back, and may take the rest
 *     later MIB FILE             takes it as soon as the file is there; ends as hold does
 *     sleep MS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *take(const char *mib)
{
    size_t bytes = strtoul(mib, NULL, 10) << 20;
    char *block = malloc(bytes);
    if (block)
        memset(block, 1, bytes);
    return block;
}

static void hold_for(const char *ms)
{
    usleep(ms ? (useconds_t)strtoul(ms, NULL, 10) * 1000 : 0);
}

static int until_null(const char *size)
{
    size_t bytes = strtoul(size, NULL, 10), sum = 0;
    void *last = NULL;
    for (void **block; (block = malloc(bytes)) != NULL; last = block, sum += bytes) {
        memset(block, 1, bytes);
        *block = last;
    }
    printf("null after %zu MiB\n", sum >> 20);
    return 3;
}

static int fork_and_free(const char *mib)
{
    void *block = take(mib);
    pid_t child = block ? fork() : -1;
    if (child == 0) {
        void *other = malloc((size_t)25 << 20); /* beside its parent's 25 of 40 */
        free(block);
        _exit(other ? 1 : 0);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && !take(mib) ? 0 : 5;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "", *mib = argc > 2 ? argv[2] : "", *ms = argc > 3 ? argv[3] : NULL;
    if (strcmp(what, "sleep") == 0) {
        hold_for(mib);
        return 0;
    }
    if (strcmp(what, "until-null") == 0)
        return until_null(mib);
    if (strcmp(what, "fork") == 0)
        return fork_and_free(mib);
    if (strcmp(what, "close-and-hold") == 0)
        for (int fd = 0; fd < 4096; fd++)
            close(fd);
    else if (strcmp(what, "later") == 0 && ms)
        for (int round = 0; access(ms, F_OK) != 0 && round < 1000; round++)
            usleep(20000);
    else if (strcmp(what, "hold") && strcmp(what, "expect-null") && strcmp(what, "exec"))
        return 2;
    void *block = take(mib);
    if (strcmp(what, "expect-null") == 0)
        return block != NULL;
    if (!block)
        return 4;
    if (strcmp(what, "exec") == 0) {
        execv(argv[3], argv + 3);
        return 6;
    }
    if (strcmp(what, "later") != 0)
        hold_for(ms);
    free(block);
    return 0;
}
