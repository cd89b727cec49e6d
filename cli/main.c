/* SPDX-License-Identifier: Apache-2.0 */
/* The command line up to the verb; the rest is the verb's own. */
#include "cli.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct verb {
    const char *name;
    const char *summary;
    verb_fn *run;
} verbs[] = {
    {"doctor", "shows the memory limits of a process, their use and their source", doctor},
    {"limit", "prints the smallest memory limit of a process, or sets that of 'headroom run'", limit},
    {"report", "shows what a history file tells: ledgers, levels, the trend", report},
    {"run", "starts a command, watches its memory, and acts before the kernel kills", run},
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

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct line *line = state->input;
    if (key == ARGP_KEY_NO_ARGS)
        argp_error(state, "a verb is missing: write for example 'headroom doctor'");
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    for (size_t i = 0; i < VERBS && !line->verb; i++) {
        if (strcmp(verbs[i].name, value) == 0)
            line->verb = &verbs[i];
    }
    if (!line->verb)
        argp_error(state, "'%s' is no verb: there are doctor, limit, report, run and top", value);
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

int main(int argc, char **argv)
{
    static const char description[] =
        "Shows the memory limits of Linux processes, keeps programs below them, and tells what came of it.\v";
    static const struct argp argp = {
        .parser = parse, .args_doc = "VERB [OPTION...]", .doc = description, .help_filter = list_verbs};
    static char name[] = "headroom"; /* argp calls the program by its first argument */
    struct line line = {0};
    argv[0] = name;
    atexit(check_output);
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &line);
    return line.verb->run(argc - line.at, argv + line.at);
}
