/* SPDX-License-Identifier: Apache-2.0 */
/* Records another process from outside, by the gauges that a guard reads, into a history file:
 *
 *     recorder PID FILE SECONDS [LIMIT [LAPSE]]
 *
 * Ten samples a second, for so long or until the process ends. LIMIT is its limit ("1GiB", default none). With a LAPSE
 * of 60 a second is recorded as a minute: so a test need not last for hours.
 *
 * A process is watched by its open files of /proc (os/process.h): should its number be given to another one, that one
 * is not recorded. Exit status: 0; 1 if it cannot be watched; 3 if it ended meanwhile, with what was recorded until
 * then.
 */
#include "os/clock.h"
#include "os/process.h"
#include "report/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_US 100000
#define ENDED 3

static int watch(const hri_site *site, hri_journal *journal, const char *const *words)
{
    static hri_history history;
    hri_process process;
    uint64_t limit_bytes = HR_NONE;
    int64_t lapse = words[1] ? atol(words[1]) : 1, first_ns = hri_clock_now(&hri_os_clock);
    if ((words[0] && hr_size_parse(words[0], &limit_bytes) != 0) || lapse < 1 || hri_history_init(&history, 0) != 0 ||
        hri_process_open(&process, site) != 0)
        return 1;
    int status = 0;
    for (int64_t end_ns = first_ns + atol(words[-1]) * HRI_SECOND; hri_clock_now(&hri_os_clock) < end_ns;) {
        hri_process_reading reading;
        hri_process_read(&process, &reading);
        if (reading.rss_bytes == HR_NONE || reading.rss_bytes == 0) { /* one that has ended has nothing */
            status = process.statm_fd < 0 ? 1 : ENDED;
            break;
        }
        int64_t age_ns = (hri_clock_now(&hri_os_clock) - first_ns) * lapse;
        hri_history_add(&history, &(hr_record){
                                      .time_ns = first_ns + age_ns,
                                      .wall_ns = journal->session + age_ns,
                                      .rss_bytes = reading.rss_bytes,
                                      .limit_bytes = limit_bytes,
                                      .cgroup_bytes = HR_NONE,
                                      .cgroup_anonymous_bytes = HR_NONE,
                                      .cgroup_kernel_bytes = HR_NONE,
                                      .cgroup_cache_bytes = HR_NONE,
                                  });
        hri_journal_follow(journal, &history);
        usleep(STEP_US);
    }
    hri_process_close(&process);
    hri_history_destroy(&history);
    return status;
}

int main(int argc, char **argv)
{
    hri_journal journal;
    hri_site site = {.root = ""};
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: recorder PID FILE SECONDS [LIMIT [LAPSE]]\n");
        return 2;
    }
    site.pid = atoi(argv[1]);
    int error = site.pid > 0 ? hri_site_check(&site) : -ESRCH;
    if (!error)
        error = hri_journal_init(&journal, argv[2], 0);
    if (error) {
        fprintf(stderr, "recorder: process %s, file %s: %s\n", argv[1], argv[2], strerror(-error));
        return 1;
    }
    const char *words[3] = {argv[3], argc > 4 ? argv[4] : NULL, argc > 5 ? argv[5] : NULL};
    int status = watch(&site, &journal, &words[1]);
    if (status == 1)
        fprintf(stderr, "recorder: process %s cannot be watched: its /proc/%s/statm cannot be read\n", argv[1],
                argv[1]);
    hri_journal_destroy(&journal);
    return status;
}
