/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers from a pool: used again, charged to a budget, given back to whoever is short. */
#include <headroom/headroom.h>

#include <stdio.h>
#include <string.h>

#define BUFFER_BYTES 65536
#define REQUESTS 10000

int main(void)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 64 << 20};
    if (hr_guard_new(&options, &guard) != 0)
        return 1;
    hr_byte_pool *buffers;
    if (hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "buffers", .size_bytes = BUFFER_BYTES}, &buffers) != 0)
        return 1;
    for (int i = 0; i < REQUESTS; i++) {
        char *buffer = hr_byte_pool_get(buffers, BUFFER_BYTES);
        if (!buffer)
            return 1; /* errno says whether a limit of ours or the machine refused */
        memset(buffer, i, BUFFER_BYTES);
        hr_byte_pool_put(buffers, buffer);
    }
    hr_pool_figures figures;
    hr_byte_pool_read(buffers, &figures);
    printf("%d requests, %llu buffer made; idle and to be had by others: %llu bytes\n", REQUESTS,
           (unsigned long long)figures.misses, (unsigned long long)figures.idle_bytes);
    hr_byte_pool_free(buffers);
    hr_guard_free(guard);
    return 0;
}
