/* SPDX-License-Identifier: Apache-2.0 */
/* headroom limit --set: gives what `headroom run` watches another limit. */
#include "cli.h"
#include "run/run.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum key {
    SET = 256,
};

static const struct argp_option known[] = {
    {"set", SET, "SIZE", 0, "the new limit, such as 400M", 0},
    {0},
};

static const char description[] =
    "Gives a program that runs under 'headroom run' another limit. PID is the supervisor or any process that it "
    "watches. "
    "A program that is frozen goes on."
    "\v"
    "Exit status: 0; 1 if nobody watches PID or the limit was refused, with the reason; 2 for a wrong option.";

struct words {
    uint64_t limit_bytes;
    int pid;
};

static int parse_pid(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    long pid = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || pid < 1 || pid > INT_MAX)
        argp_error(state, "'%s' is no process: write its number, such as 4711", text);
    return (int)pid;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct words *words = state->input;
    switch (key) {
    case SET:
        if (hr_size_parse(value, &words->limit_bytes) != 0 || !words->limit_bytes || words->limit_bytes == HR_NONE)
            argp_error(state, "--set '%s' is no limit: write a size such as 400M", value);
        return 0;
    case ARGP_KEY_ARG:
        if (words->pid)
            argp_error(state, "'%s' is too much: one process at a time", value);
        words->pid = parse_pid(value, state);
        return 0;
    case ARGP_KEY_END:
        if (!words->limit_bytes || !words->pid)
            argp_error(state, "write --set SIZE PID, for example 'headroom limit --set 400M 4711'");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int limit(int argc, char **argv)
{
    static const struct argp argp = {
        .options = known, .parser = parse, .args_doc = "--set SIZE PID", .doc = description};
    static char name[] = "headroom limit"; /* argp calls the program by its first argument */
    struct words words = {0};
    char answer[512];
    argv[0] = name;
    argp_parse(&argp, argc, argv, 0, NULL, &words);
    int error = run_control_set(words.pid, words.limit_bytes, answer, sizeof answer);
    if (!error)
        printf("%s\n", answer);
    else if (error == -ERANGE)
        fprintf(stderr, "headroom limit: %s\n", answer);
    else if (error == -ESRCH)
        fprintf(stderr, "headroom limit: no 'headroom run' watches process %d\n", words.pid);
    else if (error == -EPERM)
        fprintf(stderr, "headroom limit: process %d is watched for another user\n", words.pid);
    else
        fprintf(stderr, "headroom limit: the watcher of process %d gives no answer: %s\n", words.pid, strerror(-error));
    return error ? EXIT_FAILED : 0;
}
