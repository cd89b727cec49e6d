/* SPDX-License-Identifier: Apache-2.0 */
/* headroom limit: the smallest memory limit of a process as one number, for start scripts, or as JSON. */
#include "cli.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum key {
    PID = 256,
    PERCENT,
    UNIT,
    SET,
    JSON,
};

static const struct argp_option known[] = {
    {"pid", PID, "PID", 0, "the limit of this process (default: headroom itself, which has its caller's limits)", 0},
    {"percent", PERCENT, "N", 0, "N per cent of the limit, 1 to 100 (default 100)", 0},
    {"unit", UNIT, "UNIT", 0, "count in B, KiB, MiB or GiB (default B)", 0},
    {"json", JSON, NULL, 0, "one JSON object, with the limit's source", 0},
    {"set", SET, "SIZE", 0, "give a program under 'headroom run' this limit, such as 400M", 0},
    {0},
};

static const char description[] =
    "Prints the smallest memory limit that holds for a process as one whole number, for start scripts:\n\n"
    "  redis-server --maxmemory $(headroom limit --percent 75)\n\n"
    "With --set, PID is the supervisor or a process that it watches. A frozen one goes on."
    "\v"
    "Where a platform may hide a smaller limit, a sentence on standard error says so. Exit status: 0 if there is a "
    "number, or if the limit was set; 1 if no limit can be known, if nobody watches PID, or if the limit was "
    "refused; 2 for a wrong option.";

static const struct unit {
    const char *name;
    uint64_t bytes;
} units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
};

struct options {
    hr_survey_options survey;
    unsigned percent;
    const struct unit *unit;
    uint64_t set_bytes; /* 0: print */
    bool counts;        /* --percent or --unit was given */
    bool json;
};

static unsigned parse_percent(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < 1 || value > 100)
        argp_error(state, "--percent '%s': write a whole number from 1 to 100", text);
    return (unsigned)value;
}

static const struct unit *parse_unit(const char *text, struct argp_state *state)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].name, text) == 0)
            return &units[i];
    }
    argp_error(state, "--unit '%s': write B, KiB, MiB or GiB", text);
    return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case PID:
        options->survey.pid = parse_pid("--pid", value, state);
        return 0;
    case PERCENT:
        options->percent = parse_percent(value, state);
        options->counts = true;
        return 0;
    case UNIT:
        options->unit = parse_unit(value, state);
        options->counts = true;
        return 0;
    case JSON:
        options->json = true;
        return 0;
    case SET:
        options->set_bytes = parse_limit("--set", value, "", state);
        return 0;
    case ARGP_KEY_ARG:
        if (!options->set_bytes || options->survey.pid)
            argp_error(state, "'%s' is not expected: write --percent 75, or --set 400M PID", value);
        options->survey.pid = parse_pid("PID", value, state);
        return 0;
    case ARGP_KEY_END:
        if (options->set_bytes && (!options->survey.pid || options->counts))
            argp_error(state,
                       "--set SIZE takes a process and nothing else, for example 'headroom limit --set 400M 4711'");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const hr_finding *find(const hr_survey *survey, const char *id)
{
    for (size_t i = 0; i < survey->finding_count; i++) {
        if (strcmp(survey->findings[i].id, id) == 0)
            return &survey->findings[i];
    }
    return NULL;
}

/* The facts of the object that --json prints. */
struct limit_answer {
    int pid; /* 0: this process */
    uint64_t limit_bytes;
    const char *limit_source;
    unsigned percent;
    const char *unit;
    uint64_t number;  /* of units, that per cent of the limit */
    const char *note; /* NULL: none */
};

static int print_json(const struct limit_answer *answer)
{
    json_object_seed(1); /* all keys are ours: no need to ask the machine for a random one */
    json_t *object =
        json_pack("{s:o, s:I, s:o, s:i, s:s, s:I, s:o}", "pid", answer->pid ? json_integer(answer->pid) : json_null(),
                  "limit_bytes", (json_int_t)answer->limit_bytes, "limit_source", text_as_json(answer->limit_source),
                  "percent", (int)answer->percent, "unit", answer->unit, "number", (json_int_t)answer->number, "note",
                  text_as_json(answer->note));
    int error = !object ? -ENOMEM : json_dumpf(object, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF ? -EIO : 0;
    json_decref(object);
    if (error)
        fprintf(stderr, "headroom limit: the answer could not be written: %s\n", strerror(-error));
    return error ? EXIT_FAILED : 0;
}

static int print(const hr_survey *survey, const struct options *options)
{
    const hr_finding *hidden = find(survey, "limit-not-visible");
    if (survey->limit_bytes == HR_NONE) {
        const hr_finding *why = hidden ? hidden : find(survey, "host-not-known");
        fprintf(stderr, "headroom limit: no limit is known%s%s\n", why ? ": " : "", why ? why->text : "");
        return EXIT_FAILED;
    }
    if (hidden)
        fprintf(stderr, "headroom limit: %s %s\n", hidden->text, hidden->advice);
    /* in this order, so that no product overflows */
    uint64_t bytes = survey->limit_bytes / 100 * options->percent + survey->limit_bytes % 100 * options->percent / 100;
    struct limit_answer answer = {
        .pid = options->survey.pid,
        .limit_bytes = survey->limit_bytes,
        .limit_source = survey->limit_source,
        .percent = options->percent,
        .unit = options->unit->name,
        .number = bytes / options->unit->bytes,
        .note = hidden ? hidden->text : NULL,
    };
    if (options->json)
        return print_json(&answer);
    printf("%" PRIu64 "\n", answer.number);
    return 0;
}

static int set(const struct options *options)
{
    char note[512];
    int error = limit_set(options->survey.pid, options->set_bytes, note, sizeof note);
    if (error)
        return EXIT_FAILED;
    if (options->json)
        return print_json(&(struct limit_answer){options->survey.pid, options->set_bytes, "headroom limit --set", 100,
                                                 units[0].name, options->set_bytes, note});
    puts(note);
    return 0;
}

int limit(int argc, char **argv)
{
    static const struct argp argp = {.options = known,
                                     .parser = parse,
                                     .children = short_help_children,
                                     .args_doc = "[--set SIZE PID]",
                                     .doc = description};
    static char name[] = "headroom limit";
    struct options options = {.percent = 100, .unit = units};
    argv[0] = name; /* argp calls the program by its first argument */
    parse_words(&argp, 0, argc, argv, &options);
    if (options.set_bytes)
        return set(&options);
    if (!options.survey.pid && refuse_declared(name))
        return EXIT_FAILED;
    hr_survey *survey;
    int error = hr_survey_new(&options.survey, &survey);
    if (error) {
        complain_of_survey("limit", &options.survey, error);
        return EXIT_FAILED;
    }
    int status = print(survey, &options);
    hr_survey_free(survey);
    return status;
}
