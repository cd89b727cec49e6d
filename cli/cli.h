/* SPDX-License-Identifier: Apache-2.0 */
/* The headroom command: what its verbs share. Each verb has a file of its own and stands in main.c's table. */
#ifndef CLI_H
#define CLI_H

#include <headroom/headroom.h>
#include <argp.h>
#include <stdio.h>

/* Exit statuses; 0 is success. */
#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* The option -h, for every verb's argp. */
extern const struct argp_child short_help_children[];

/* Gets the verb and what follows it; gives an exit status. */
typedef int verb_fn(int argc, char **argv);

verb_fn doctor;
verb_fn limit;
verb_fn report;
verb_fn run;
verb_fn top;

/* The page of `headroom run --http`, where it was built. */
extern const struct run_server run_http;

/* The two forms of the doctor's report. Each gives 0, or a negative errno where it could not be made. */
int doctor_print_text(const hr_survey *survey, const hr_survey_options *options, FILE *out);
int doctor_print_json(const hr_survey *survey, bool one_line, FILE *out);

/* One line, of `columns` at the most where that is not 0: what binds, what is used, pressure and events. */
void doctor_print_line(const hr_survey *survey, int columns, FILE *out);

/* Looks once a second until it is interrupted or the process has ended; gives an exit status. */
int doctor_watch(const hr_survey_options *options, bool json);

/* A text that may be NULL or no UTF-8, as JSON. NULL: there was no memory. */
struct json_t *text_as_json(const char *text);

/* Gives the program that `headroom run` watches another limit, and the watcher's `answer`. Gives 0, or a negative errno
 * after a message. */
int limit_set(int pid, uint64_t limit_bytes, char *answer, size_t size);

/* The words of a verb's command line: argp's, except that an option without its value is answered with a right one. */
void parse_words(const struct argp *argp, unsigned flags, int argc, char **argv, void *input);

/* A text that is not empty; `example` says what to write. It tells through argp what is wrong with `what`. */
const char *parse_text(const char *what, const char *text, const char *example, struct argp_state *state);

/* A process by its number, and a limit in bytes, for which `other` says what else may be written. They tell
 * through argp what is wrong with `what`, such as "--pid". */
int parse_pid(const char *what, const char *text, struct argp_state *state);
uint64_t parse_limit(const char *what, const char *text, const char *other, struct argp_state *state);

/* Is HEADROOM_LIMIT of this process neither a size nor a share? Says so, as `command`. */
bool refuse_declared(const char *command);

/* Says that a verb takes options alone, `example` for one. */
error_t refuse_word(const char *word, const char *example, struct argp_state *state);

/* Are colours for this output? Only for a terminal, and only where NO_COLOR is not set. */
bool wants_colours(FILE *out);

/* Says why there is no survey, as `command`. */
void complain_of_survey(const char *command, const hr_survey_options *options, int error);

#endif
