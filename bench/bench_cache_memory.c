/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of an entry beside its bytes: 100,000 values of 64 bytes under keys of 16. The peers are a plain map of
 * uthash, and memcached, which says itself how much its items and its table take.
 */
#include "bench.h"
#include "lru_map.h"

#include <headroom/headroom.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES 100000u
#define KEY_BYTES 16
#define VALUE_BYTES 64

static void make_key(unsigned number, char key[KEY_BYTES + 1])
{
    snprintf(key, KEY_BYTES + 1, "key-%012u", number);
}

static double beside(uint64_t bytes)
{
    return (double)bytes / ENTRIES - KEY_BYTES - VALUE_BYTES;
}

static double ours(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_cache *cache;
    char key[KEY_BYTES + 1], value[VALUE_BYTES] = {0};
    hr_guard_options options = {.limit_bytes = UINT64_C(1) << 30, .interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    bench_require(hr_cache_new(guard, NULL, &cache) == 0, "hr_cache_new");
    for (unsigned i = 0; i < ENTRIES; i++) {
        make_key(i, key);
        bench_require(hr_cache_put(cache, key, KEY_BYTES, value, sizeof value, 0) == 0, "hr_cache_put");
    }
    hr_cache_figures figures;
    hr_cache_read(cache, &figures);
    hr_cache_free(cache);
    hr_guard_free(guard);
    return beside(figures.bytes + figures.table_bytes);
}

static double plain_map(void *context)
{
    (void)context;
    lru_map *map = lru_map_new(UINT64_MAX);
    char key[KEY_BYTES + 1], value[VALUE_BYTES] = {0};
    for (unsigned i = 0; i < ENTRIES; i++) {
        make_key(i, key);
        lru_map_put(map, key, KEY_BYTES, value, sizeof value);
    }
    uint64_t bytes = lru_map_bytes(map);
    lru_map_free(map);
    return beside(bytes);
}

/* ── memcached ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static const char *find_memcached(void)
{
    return access("/usr/bin/memcached", X_OK) == 0 ? "/usr/bin/memcached" : NULL;
}

static FILE *talk_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fdopen(fd, "r+");
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return NULL;
}

/* Sums what a command's answer says of one figure; of a slab class, chunks in use times their size. */
static uint64_t ask(FILE *server, const char *command, const char *figure)
{
    char line[256], name[128];
    unsigned long long number, chunk = 0, sum = 0;
    fprintf(server, "%s\r\n", command);
    fflush(server);
    while (fgets(line, sizeof line, server) && strncmp(line, "END", 3) != 0) {
        if (sscanf(line, "STAT %127s %llu", name, &number) != 2)
            continue;
        if (strstr(name, ":chunk_size"))
            chunk = number;
        if (strstr(name, figure))
            sum += strcmp(figure, ":used_chunks") == 0 ? number * chunk : number;
    }
    return sum;
}

static uint64_t fill_memcached(FILE *server)
{
    char key[KEY_BYTES + 1];
    for (unsigned i = 0; i < ENTRIES; i++) {
        make_key(i, key);
        fprintf(server, "set %s 0 0 %d noreply\r\n%0*d\r\n", key, VALUE_BYTES, VALUE_BYTES, 0);
    }
    fflush(server);
    while (ask(server, "stats", "curr_items") < ENTRIES)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return ask(server, "stats slabs", ":used_chunks") + ask(server, "stats", "hash_bytes");
}

static double memcached(void *context)
{
    char folder[] = "/tmp/headroom-bench-XXXXXX", path[64];
    bench_require(mkdtemp(folder) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/socket", folder);
    pid_t child = fork();
    if (child == 0) {
        execl(context, context, "-u", "nobody", "-s", path, "-a", "0777", "-m", "64", "-t", "1", (char *)NULL);
        _exit(127);
    }
    chmod(folder, 0777);
    FILE *server = talk_to(path);
    bench_require(server != NULL, "memcached");
    uint64_t bytes = fill_memcached(server);
    fclose(server);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    unlink(path);
    rmdir(folder);
    return beside(bytes);
}

int main(int argc, char **argv)
{
    bench_group groups[] = {
        {"cache_entry_64",
         "overhead",
         "bytes",
         0,
         1,
         {{NULL, NULL, ours, NULL}, {"uthash_map", NULL, plain_map, NULL}, {0}}},
    };
    const char *path = find_memcached();
    if (path)
        groups[0].cases[2] = (bench_case){"memcached", NULL, memcached, (void *)(uintptr_t)path};
    else
        bench_missing("memcached", "memcached", "it is not there");
    return bench_main(argc, argv, groups, 1);
}
