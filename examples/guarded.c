/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: thirty requests of 5 MiB under a limit of 100. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>

#define BODY_BYTES (5 << 20)

int main(void)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 100 << 20}; /* 0: what the kernel allows */
    if (hr_guard_new(&options, &guard) != 0)
        return 1;
    char *kept[30];
    unsigned count = 0;
    hr_ticket ticket = {0};
    hr_request request = {.bytes = BODY_BYTES + 4096, .priority = 100};
    while (count < 30 && hr_admit(guard, &request, &ticket) == HR_ADMITTED) {
        kept[count] = hr_ticket_alloc(&ticket, BODY_BYTES); /* what was admitted is there */
        memset(kept[count++], 'x', BODY_BYTES);
        hr_ticket_release(&ticket);
    }
    printf("kept %u, level %s; then refused by %s: %llu bytes asked, %llu left\n", count,
           hr_level_text(hr_guard_level(guard)), ticket.limit_name, (unsigned long long)ticket.asked_bytes,
           (unsigned long long)ticket.left_bytes);
    while (count > 0)
        hr_free(kept[--count]);
    hr_guard_free(guard);
    return 0;
}
