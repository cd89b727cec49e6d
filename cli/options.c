/* SPDX-License-Identifier: Apache-2.0 */
/* Words that several verbs have on their command lines. */
#include "cli.h"
#include "run/trigger.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

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
        argp_error(state, "%s '%s' is more than any machine has", what, text);
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
    argp_error(state, "'%s' is not expected: there are only options%s%s", word, *example ? ", such as " : "", example);
    return EINVAL;
}
