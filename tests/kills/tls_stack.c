/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: glibc puts the static TLS of all libraries on each thread's stack. With 200,000 bytes of it the monitor's
 * stack overflowed: SIGSEGV.
 *
 *     tls_stack
 *
 * Right: a guard is made, and its monitor runs.
 */
#include "kills/kills.h"

static _Thread_local volatile char large[200000];

int main(void)
{
    hr_guard *guard;
    large[5] = 1;
    if (hr_guard_new(&(hr_guard_options){.interval_ns = SECOND / 100}, &guard) != 0)
        hrt_end(HRT_REFUSED, "no guard was made");
    usleep(200000);
    hrt_show(guard, "running");
    hr_guard_free(guard);
    return HRT_RIGHT;
}
