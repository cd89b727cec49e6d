/* SPDX-License-Identifier: Apache-2.0 */
/* headroom doctor --watch: a survey a second, a line each. At a terminal a line takes the place of the one before it;
 * in a pipe or a file each stays. */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int columns_of(FILE *out)
{
    struct winsize size;
    if (!isatty(fileno(out)))
        return 0;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1 : 79;
}

int doctor_watch(const hr_survey_options *options, bool json)
{
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (bool first = true;; first = false) {
        hr_survey *survey;
        int error = hr_survey_new(options, &survey);
        if (error == -ESRCH && !first)
            return 0; /* it has ended */
        if (error) {
            complain_of_survey("doctor", options, error);
            return EXIT_FAILED;
        }
        int columns = json ? 0 : columns_of(stdout);
        if (columns)
            fputs("\r\033[K", stdout);
        if (json)
            error = doctor_print_json(survey, true, stdout);
        else
            doctor_print_line(survey, columns, stdout);
        if (!columns && !json)
            fputc('\n', stdout);
        hr_survey_free(survey);
        if (error || fflush(stdout) != 0) {
            fprintf(stderr, "headroom doctor: standard output: %s\n", strerror(error ? -error : errno));
            return EXIT_FAILED;
        }
        next.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
