/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads that are written once, where they stay: reserve, fill, commit. Sixteen bodies come from standard pipes, of
 * which the client says the length, or does not; a body that breaks off leaves nothing behind. */
#include <headroom/headroom.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_BYTES (UINT64_C(16) << 20)
#define BODY_BYTES (UINT64_C(1) << 20)
#define UNKNOWN SIZE_MAX
#define UNKNOWN_MAX_BYTES (UINT64_C(2) << 20) /* what is accepted of a body without a length */

/* Receives a body into the cache. 0; -EDQUOT or -E2BIG: refuse it; -EPIPE: it broke off, or is too long. */
static int upload(hr_cache *cache, const char *key, size_t length, int client)
{
    hr_cache_ref body;
    size_t most = length == UNKNOWN ? UNKNOWN_MAX_BYTES : length, have = 0;
    int error = hr_cache_reserve(cache, key, strlen(key), most, 0, &body);
    if (error)
        return error;
    ssize_t got;
    while (have < most && (got = read(client, (char *)body.data + have, most - have)) > 0)
        have += (size_t)got;
    char more;
    bool whole = length == UNKNOWN ? have < most || read(client, &more, 1) == 0 : have == length;
    body.size = have; /* the rest is given back */
    error = whole ? hr_cache_commit(cache, &body) : -EPIPE;
    hr_cache_release(cache, &body);
    return error;
}

/* A client that sends a file of zeros; of every fifth one only the half. */
static int client_new(int number)
{
    char path[] = "/tmp/headroom-upload-XXXXXX";
    int client = mkstemp(path);
    if (client < 0)
        return -1;
    unlink(path);
    return ftruncate(client, number % 5 == 4 ? BODY_BYTES / 2 : BODY_BYTES) == 0 ? client : -1;
}

int main(void)
{
    hr_guard *guard;
    hr_cache *cache;
    hr_guard_options options = {.limit_bytes = LIMIT_BYTES};
    if (hr_guard_new(&options, &guard) != 0 || hr_cache_new(guard, NULL, &cache) != 0)
        return 1;
    int stored = 0, broken = 0, refused = 0;
    for (int i = 0; i < 16; i++) {
        char key[16];
        snprintf(key, sizeof key, "/body/%d", i);
        int client = client_new(i);
        if (client < 0)
            return 1;
        int error = upload(cache, key, i % 2 ? UNKNOWN : BODY_BYTES, client);
        stored += error == 0;
        broken += error == -EPIPE;
        refused += error == -EDQUOT || error == -E2BIG;
        close(client);
    }
    hr_cache_figures figures;
    hr_cache_read(cache, &figures);
    printf("%d stored, %d broken off, %d refused; %.1f MiB are kept\n", stored, broken, refused,
           (double)figures.bytes / (1 << 20));
    hr_cache_free(cache);
    hr_guard_free(guard);
    return refused;
}
