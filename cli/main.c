/* SPDX-License-Identifier: Apache-2.0 */
/* The command line up to the verb; the rest is the verb's own. */
#include "cli.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static verb_fn help;

static const struct verb {
    const char *name;
    const char *summary;
    verb_fn *run;
} verbs[] = {
    {"doctor", "shows the memory limits of a process, their use and their source", doctor},
    {"help", "says how to use headroom, or one of its verbs", help},
    {"limit", "prints the smallest limit of a process, or sets a running one's", limit},
    {"report", "shows what a history file tells: ledgers, levels, the trend", report},
    {"run", "starts a command, and acts before the kernel kills it", run},
    {"top", "shows guarded and watched processes of this machine, live", top},
};

#define VERBS (sizeof verbs / sizeof *verbs)

/* What stands before the verb. */
struct line {
    const struct verb *verb;
    int at; /* the verb's place in argv */
};

/* The verbs, for the end of --help. */
static char *list_verbs(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)text;
    char *list = NULL;
    size_t size;
    FILE *out = open_memstream(&list, &size);
    if (!out)
        return NULL;
    fputs("Verbs:\n\n", out);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\n'headroom VERB --help' says more about one; so does 'man headroom-VERB'.", out);
    return fclose(out) == 0 ? list : NULL;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* argp has -? for --help, and most people type -h. */
static error_t parse_short_help(int key, char *value, struct argp_state *state)
{
    (void)value;
    if (key != 'h')
        return ARGP_ERR_UNKNOWN;
    argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP);
    return 0;
}

static const struct argp_option short_help[] = {{NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0}, {0}};
static const struct argp short_help_argp = {.options = short_help, .parser = parse_short_help};
const struct argp_child short_help_children[] = {{&short_help_argp, 0, NULL, 0}, {0}};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct line *line = state->input;
    if (key == ARGP_KEY_NO_ARGS)
        argp_error(state, "a verb is missing: write for example 'headroom doctor'");
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    line->verb = find_verb(value);
    if (!line->verb)
        argp_error(state, "'%s' is no verb: 'headroom help' lists them", value);
    line->at = state->next - 1;
    state->next = state->argc; /* the rest is the verb's */
    return 0;
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "headroom %s\n", hr_version());
}

/* A full disk is no success, nor where argp has printed and ends the program by itself. */
static void check_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    perror("headroom: standard output");
    _exit(EXIT_FAILED);
}

static const char description[] =
    "Shows the memory limits of Linux processes, keeps programs below them, and tells what came of it.\v";
static const struct argp argp = {.parser = parse,
                                 .args_doc = "VERB [OPTION...]",
                                 .doc = description,
                                 .children = short_help_children,
                                 .help_filter = list_verbs};
static char name[] = "headroom"; /* argp calls the program by its first argument */

/* 'headroom help', and 'headroom help VERB' for 'headroom VERB --help'. */
static int help(int argc, char **argv)
{
    static char option[] = "--help";
    char *words[] = {argc > 1 ? argv[1] : name, option, NULL};
    const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    if (argc > 2 || (argc > 1 && !verb)) {
        fprintf(stderr, "headroom help: '%s' is no verb: 'headroom help' lists them\n", argv[argc - 1]);
        return EXIT_USAGE;
    }
    if (verb && verb->run != help)
        return verb->run(2, words);
    words[0] = name;
    argp_parse(&argp, 2, words, ARGP_IN_ORDER, NULL, NULL); /* says it, and ends the program */
    return 0;
}

int main(int argc, char **argv)
{
    struct line line = {0};
    argv[0] = name;
    atexit(check_output);
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &line);
    return line.verb->run(argc - line.at, argv + line.at);
}
