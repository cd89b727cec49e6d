/* SPDX-License-Identifier: Apache-2.0 */
/* A pool: buffers that are used again, charged to a budget, and given back to whichever charge is short.
 *
 * Each request gets a buffer and puts it back. The first get makes a buffer; all others find it in the pool, which
 * takes some nanoseconds. Idle buffers stay charged, and go to the kernel as soon as any charge of the guard is short.
 * A list of free buffers of one's own does the first half. The memory that it retains is lost to everybody else, and a
 * buffer that is put twice is handed to two users. The pool refuses the second put, in release builds too. */
#include <headroom/headroom.h>

#include <stdio.h>
#include <string.h>

enum {
    BUFFER_BYTES = 64 << 10,
    REQUESTS = 10000
};

int main(void)
{
    hr_guard *guard;
    if (hr_guard_new(NULL, &guard) != 0) /* the limit is the kernel's, or HEADROOM_LIMIT */
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
    printf("%d requests, %llu buffer made; idle, and there for others: %llu bytes\n", REQUESTS,
           (unsigned long long)figures.misses, (unsigned long long)figures.idle_bytes);
    hr_byte_pool_free(buffers);
    hr_guard_free(guard);
    return 0;
}
