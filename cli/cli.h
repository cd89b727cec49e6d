/* SPDX-License-Identifier: Apache-2.0 */
/* The headroom command: what its verbs share. Each verb has a file of its own and stands in main.c's table. */
#ifndef CLI_H
#define CLI_H

#include <headroom/headroom.h>
#include <stdio.h>

/* Exit statuses; 0 is success. */
#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* Gets the verb and what follows it; gives an exit status. */
typedef int verb_fn(int argc, char **argv);

verb_fn doctor;
verb_fn limit;
verb_fn report;
verb_fn run;

/* The two forms of the doctor's report. Each gives 0, or a negative errno where it could not be made. */
int doctor_print_text(const hr_survey *survey, const hr_survey_options *options, FILE *out);
int doctor_print_json(const hr_survey *survey, FILE *out);

#endif
