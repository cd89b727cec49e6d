/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program of the README: a charged block is either there, or NULL before the kernel would kill. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    hr_guard *guard;
    if (hr_guard_new(NULL, &guard) != 0) /* the limit is the kernel's, or HEADROOM_LIMIT */
        return 1;
    char *block;
    int held = 0;
    while (held < 200 && (block = hr_alloc(hr_guard_root(guard), 1 << 20)))
        memset(block, held++, 1 << 20);
    printf("%d of 200 blocks of 1 MiB, then NULL: level %s\n", held, hr_level_text(hr_guard_level(guard)));
    return 0;
}
