/* SPDX-License-Identifier: Apache-2.0 */
/* The effect of thresholds on use and refusals: the table of docs/choosing-limits.md.
 *
 *     cage 64MiB 60 tuning [NAME=VALUE]...      NAME: warn_at … dwell_ms, request_bytes, plain, large_bytes
 *
 * Requests come every millisecond and hold their memory for 100 to 500 ms; together they want three times the limit.
 * With plain=1 they are hr_alloc()ed, else admitted first. Of the last two thirds of the run it says the share of the
 * limit that requests held on average. Of the whole run it says the share that was refused, and the level's changes. */
#include <errno.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RUN_MS = 4000,
    HOLD_MIN_MS = 100,
    HOLD_MAX_MS = 500
};

/* Blocks by the millisecond in which they are freed; a block begins with its link and its size. */
struct block {
    struct block *next;
    size_t bytes;
};

static struct block *ends[RUN_MS + HOLD_MAX_MS + 1];

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static unsigned changes;

static void count_change(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)from, (void)to, (void)figures;
    changes++;
}

static uint64_t seed = 42;

static unsigned draw(unsigned below)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (unsigned)(seed % below);
}

static void *serve(hr_guard *guard, size_t bytes, bool plain)
{
    if (plain)
        return hr_alloc(hr_guard_root(guard), bytes);
    hr_ticket ticket;
    hr_request request = {.bytes = hr_alloc_cost(bytes), .key = 1 + draw(64)};
    if (hr_admit(guard, &request, &ticket) != HR_ADMITTED)
        return NULL;
    void *block = hr_ticket_alloc(&ticket, bytes);
    hr_ticket_release(&ticket);
    return block;
}

static int parse(char **words, hr_guard_options *options, unsigned long *plain, unsigned long *large)
{
    unsigned long dwell_ms = 0;
    for (; *words; words++) {
        char *value = strchr(*words, '=');
        double number = value ? strtod(value + 1, NULL) : 0;
        if (!value)
            return -EINVAL;
        *value = '\0';
        if (strcmp(*words, "warn_at") == 0)
            options->warn_at = number;
        else if (strcmp(*words, "degrade_at") == 0)
            options->degrade_at = number;
        else if (strcmp(*words, "recover_below") == 0)
            options->recover_below = number;
        else if (strcmp(*words, "dwell_ms") == 0)
            dwell_ms = (unsigned long)number;
        else if (strcmp(*words, "request_bytes") == 0)
            options->degraded_request_bytes = (uint64_t)number;
        else if (strcmp(*words, "plain") == 0)
            *plain = (unsigned long)number;
        else if (strcmp(*words, "large_bytes") == 0)
            *large = (unsigned long)number;
        else
            return -EINVAL;
    }
    options->dwell_ns = (int64_t)dwell_ms * 1000000;
    return 0;
}

int main(int argc, char **argv)
{
    hr_guard *guard;
    hr_thresholds thresholds;
    hr_guard_options options = {.on_level = count_change};
    unsigned long plain = 0, large = 64 << 10;
    if (argc < 1 || parse(argv + 1, &options, &plain, &large) != 0 || hr_guard_new(&options, &guard) != 0 ||
        hr_guard_thresholds(guard, &thresholds) != 0)
        return 2;
    double asked = 0, refused = 0, sum = 0, samples = 0, holds = 0, due = 0;
    double rate = 3.0 * (double)thresholds.limit_bytes / ((HOLD_MIN_MS + HOLD_MAX_MS) / 2.0);
    int64_t start_ms = clock_ms();
    for (int now_ms = 0, last_ms = -1; now_ms < RUN_MS; now_ms = (int)(clock_ms() - start_ms)) {
        for (; last_ms < now_ms; last_ms++, due += rate) {
            for (struct block *block = ends[last_ms + 1], *next; block; block = next) {
                next = block->next;
                holds -= (double)block->bytes;
                hr_free(block);
            }
        }
        while (due > 0) {
            size_t bytes = 256 + draw(2 * ((unsigned)large - 256));
            due -= (double)bytes;
            asked++;
            struct block *block = serve(guard, bytes, plain != 0);
            refused += block == NULL;
            if (!block)
                continue;
            memset(block, 'x', bytes);
            struct block **end = &ends[now_ms + HOLD_MIN_MS + (int)draw(HOLD_MAX_MS - HOLD_MIN_MS)];
            *block = (struct block){*end, bytes};
            *end = block;
            holds += (double)bytes;
        }
        if (now_ms > RUN_MS / 3)
            sum += holds / (double)thresholds.limit_bytes, samples++;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    printf("held %.1f %% of the limit, refused %.1f %%, %u changes of level\n", 100 * sum / samples,
           100 * refused / asked, changes);
    return 0;
}
