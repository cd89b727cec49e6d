/* SPDX-License-Identifier: Apache-2.0 */
/* headroom doctor: every memory limit that holds for a process, and what could not be seen. */
#include "cli.h"

#include <argp.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum key {
    ROOT = 256,
    PID,
    JSON,
    COLLECT,
    WATCH,
};

static const struct argp_option known[] = {
    {"root", ROOT, "DIR", 0, "read DIR/proc and DIR/sys/fs/cgroup instead of this machine's, and nothing else", 0},
    {"collect", COLLECT, "DIR", 0, "copy each file that is read into DIR, for a bug report; --root DIR shows it again",
     0},
    {"watch", WATCH, NULL, 0, "look once a second until interrupted, a line each", 0},
    {"pid", PID, "PID", 0, "look at this process (default: the doctor itself, which has its caller's limits)", 0},
    {"json", JSON, NULL, 0, "one JSON object; what is absent is null", 0},
    {0},
};

static const char description[] =
    "Shows every memory limit that holds for a process, where it comes from, what is used of it, which one binds and "
    "which one decides the level, what to do about it, and what could not be seen."
    "\v"
    "What is absent or unreadable is no error: the report says it. Exit status: 0 if there is a report, 1 if not (no "
    "such process, no such folder), 2 for a wrong option.";

struct options {
    hr_survey_options survey;
    bool json, watch;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ROOT:
        options->survey.root =
            parse_text("--root", value, "a folder that holds proc/ and sys/, such as /mnt/snapshot", state);
        return 0;
    case COLLECT:
        options->survey.collect = parse_text("--collect", value, "a folder, such as /tmp/report", state);
        return 0;
    case WATCH:
        options->watch = true;
        return 0;
    case PID:
        options->survey.pid = parse_pid("--pid", value, state);
        return 0;
    case JSON:
        options->json = true;
        return 0;
    case ARGP_KEY_END:
        if (options->watch && options->survey.collect)
            argp_error(state, "--watch and --collect do not go together: collect once");
        return 0;
    case ARGP_KEY_ARG:
        return refuse_word(value, "--pid 4711", state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void complain_of_survey(const char *command, const hr_survey_options *options, int error)
{
    const char *root = options->root ? options->root : "";
    bool folder =
        error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -ELOOP || error == -ENAMETOOLONG;
    if (error == -ESRCH)
        fprintf(stderr, "headroom %s: there is no process %d: %s/proc/%d does not exist or cannot be entered\n",
                command, options->pid, root, options->pid);
    else if (options->root && folder && access(options->root, X_OK) != 0)
        fprintf(stderr, "headroom %s: --root '%s': %s; it has to be a folder that holds proc/ and sys/\n", command,
                root, strerror(-error));
    else if (options->collect)
        fprintf(stderr, "headroom %s: --collect '%s': %s\n", command, options->collect, strerror(-error));
    else
        fprintf(stderr, "headroom %s: cannot look: %s\n", command, strerror(-error));
}

int doctor(int argc, char **argv)
{
    static const struct argp argp = {
        .options = known, .parser = parse, .children = short_help_children, .doc = description};
    static char name[] = "headroom doctor";
    struct options options = {0};
    argv[0] = name; /* argp calls the program by its first argument */
    parse_words(&argp, 0, argc, argv, &options);
    if (options.watch)
        return doctor_watch(&options.survey, options.json);
    hr_survey *survey;
    int error = hr_survey_new(&options.survey, &survey);
    if (error) {
        complain_of_survey("doctor", &options.survey, error);
        return EXIT_FAILED;
    }
    error =
        options.json ? doctor_print_json(survey, false, stdout) : doctor_print_text(survey, &options.survey, stdout);
    hr_survey_free(survey);
    if (error)
        fprintf(stderr, "headroom doctor: the report could not be made: %s\n", strerror(-error));
    return error ? EXIT_FAILED : 0;
}
