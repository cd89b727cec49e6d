/* SPDX-License-Identifier: Apache-2.0 */
/* Words that several verbs have on their command lines. */
#include "cli.h"
#include "run/trigger.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static const struct argp_option *find_with_value(const struct argp_option *known, const char *word)
{
    for (; known->name; known++) {
        bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, known->name) == 0;
        bool is_short = word[0] == '-' && word[1] == known->key && !word[2];
        if (known->arg && (is_long || is_short))
            return known;
    }
    return NULL;
}

/* An option that ends the line without its value gets an empty one: its parser then names a right value. getopt would
 * only say that a value is missing. */
static void give_empty_value(const struct argp *argp, unsigned flags, int argc, char **argv)
{
    static char word[64];
    const struct argp_option *open = NULL; /* waits for its value */
    for (int i = 1; i < argc; i++) {
        bool is_value = open != NULL;
        if (!is_value && (strcmp(argv[i], "--") == 0 || (argv[i][0] != '-' && (flags & ARGP_IN_ORDER))))
            return;
        open = is_value ? NULL : find_with_value(argp->options, argv[i]);
    }
    if (open) {
        snprintf(word, sizeof word, "--%s=", open->name);
        argv[argc - 1] = word;
    }
}

void parse_words(const struct argp *argp, unsigned flags, int argc, char **argv, void *input)
{
    give_empty_value(argp, flags, argc, argv);
    argp_parse(argp, argc, argv, flags, NULL, input);
}

const char *parse_text(const char *what, const char *text, const char *example, struct argp_state *state)
{
    if (!*text)
        argp_error(state, "%s '' is empty: write %s", what, example);
    return text;
}

int parse_pid(const char *what, const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    long pid = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || pid < 1 || pid > INT_MAX)
        argp_error(state, "%s '%s' is no process: write its number, such as 4711", what, text);
    return (int)pid;
}

uint64_t parse_limit(const char *what, const char *text, const char *other, struct argp_state *state)
{
    uint64_t bytes = 0;
    int error = hr_size_parse(text, &bytes);
    if (error == -ERANGE)
        argp_error(state, "%s '%s' is more than any machine has: write a size such as 400M%s", what, text, other);
    else if (error || !bytes || bytes == HR_NONE)
        argp_error(state, "%s '%s' is no limit: write a size such as 400M%s", what, text, other);
    return bytes;
}

bool refuse_declared(const char *command)
{
    const char *text = getenv("HEADROOM_LIMIT");
    uint64_t bytes = 0;
    double share;
    if (!text || !*text || (hr_size_parse(text, &bytes) == 0 && bytes > 0) || run_share_parse(text, &share))
        return false;
    fprintf(stderr, "%s: HEADROOM_LIMIT is '%.32s': write a size such as 512M, a share such as 80%%, or none\n",
            command, text);
    return true;
}

error_t refuse_word(const char *word, const char *example, struct argp_state *state)
{
    argp_error(state, "'%s' is not expected: there are only options, such as %s", word, example);
    return EINVAL;
}
