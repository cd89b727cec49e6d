/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/limits of another process: hri_process_read() and hri_process_read_files_limit(). The input is the file. */
#include "fuzz.h"

#include "os/process.h"

#include <headroom/base.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEEN 8191 /* of the file; the kernel's has less than 2,000 bytes */

/* The limit by a second parser; "unlimited", and what is no number, is none. */
static uint64_t expected(const char *text, const char *key)
{
    uint64_t value = HR_NONE;
    return hrf_key(text, key, &value) ? value : HR_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size < SEEN ? size : SEEN);
    int fd = memfd_create("limits", MFD_CLOEXEC);
    HRF_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    hri_process process = {.statm_fd = -1, .meminfo_fd = -1, .status_fd = -1, .arcstats_fd = -1, .limits_fd = fd};
    hri_process_reading reading;
    hri_process_read(&process, &reading);
    HRF_CHECK(reading.address_limit_bytes == expected(text, "Max address space"));
    HRF_CHECK(reading.data_limit_bytes == expected(text, "Max data size"));
    HRF_CHECK(hri_process_read_files_limit(&process) == expected(text, "Max open files"));
    HRF_CHECK(reading.rss_bytes == HR_NONE); /* which no limit says */
    close(fd);
    free(text);
    return 0;
}
