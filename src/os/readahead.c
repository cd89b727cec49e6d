/* SPDX-License-Identifier: Apache-2.0 */
#include "os/readahead.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/input.h"
#include "os/parse.h"

#include <errno.h>

#define KIB UINT64_C(1024)
#define DEFAULT_BYTES (128 * KIB)
#define TEXT_BYTES 32

uint64_t hri_readahead_bytes(void)
{
    char name[HRI_NAME_BYTES], text[TEXT_BYTES];
    uint64_t kib, most = DEFAULT_BYTES;
    hri_names names;
    if (hri_names_open(&names, "/sys/class/bdi", "read_ahead_kb") != 0)
        return most;
    int fd;
    while ((fd = hri_names_open_next(&names, name)) != -ENODATA && name[0]) {
        if (hri_file_read(fd, text, sizeof text) > 0 && hri_parse_number(text, &kib) == 0)
            most = hri_max(most, hri_mul(kib, KIB));
        hri_file_close(fd);
        hri_names_pass(&names);
    }
    hri_names_close(&names);
    return most;
}
