/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: without a monitor thread, and so in each child of a fork(), critical never ends. An admission that was
 * shut made no room, so nobody purged, and memory that the allocator retains kept the level up.
 *
 *     nomonitor SIZE SECONDS REQUEST      in 64 MiB
 *
 * Blocks of SIZE bytes are taken until one is refused, and all of them are freed. Then requests of REQUEST bytes ask
 * to be admitted, for SECONDS.
 * Right: one is admitted.
 */
#include "kills/kills.h"

int main(int argc, char **argv)
{
    size_t size = (size_t)hrt_number(argc, argv, 1, 1000);
    int64_t end_ns, patience_ns = hrt_number(argc, argv, 2, 5) * SECOND;
    hr_request request = {.bytes = (uint64_t)hrt_number(argc, argv, 3, 65536)};
    char **first = NULL, **block;
    hr_guard *guard;
    HRT_MUST(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard) == 0);
    while ((block = hr_alloc(hr_guard_root(guard), size)) != NULL) {
        memset(block, 1, size);
        *block = (char *)first;
        first = block;
    }
    hrt_show(guard, "filled");
    while ((block = first) != NULL) {
        first = (char **)(void *)*block;
        hr_free(block);
    }
    hrt_show(guard, "freed");
    for (end_ns = hrt_now_ns() + patience_ns; hrt_now_ns() < end_ns; usleep(10000)) {
        hr_ticket ticket;
        hr_verdict verdict = hr_admit(guard, &request, &ticket);
        hr_ticket_release(&ticket);
        if (verdict == HR_ADMITTED) {
            printf("admitted after %.2f s\n", (double)(hrt_now_ns() - end_ns + patience_ns) / 1e9);
            return HRT_RIGHT;
        }
    }
    hrt_show(guard, "end");
    return HRT_LOCKED_IN;
}
