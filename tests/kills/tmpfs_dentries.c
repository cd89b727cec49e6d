/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: "reclaimable" slab counts as free, but names of files on a tmpfs pin it. On v2 the process was killed; v1
 * does not tell which slab is reclaimable, so all of it counts there.
 *
 *     tmpfs_dentries FILES [BYTES]      in 64 MiB; needs root, for a tmpfs in a mount namespace of its own
 *
 * FILES files of BYTES (0) with names of 240 bytes are made, then blocks are taken until one is refused.
 * Right: no kill, and something is granted.
 */
#include "kills/kills.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
    static char content[64 * KIB];
    char path[300];
    long files = hrt_number(argc, argv, 1, 25000);
    size_t bytes = (size_t)hrt_number(argc, argv, 2, 0);
    HRT_MUST(bytes <= sizeof content);
    const char *folder = getenv("TMPDIR");
    folder = folder ? folder : "/tmp";
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
        mount("names", folder, "tmpfs", 0, NULL) != 0)
        hrt_end(HRT_SKIPPED, "no tmpfs can be mounted");
    HRT_MUST(chdir(folder) == 0);
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    for (long i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%0240ld", i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        HRT_MUST(fd >= 0 && write(fd, content, bytes) == (ssize_t)bytes);
        close(fd);
    }
    hr_guard_check(guard);
    hrt_show(guard, "files made");
    size_t granted = hrt_fill(budget, 100000);
    hrt_show(guard, "filled");
    return hrt_granted(granted, MIB);
}
