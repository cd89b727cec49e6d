/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's report for programs. A value that could not be made is NULL, which jansson refuses to put anywhere: so
 * every failure comes to light where a value is put. Texts of the kernel need not be UTF-8, as JSON has to be. */
#include "cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *bytes(uint64_t value)
{
    return value == HR_NONE ? json_null() : json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* A path may hold any byte: what is no UTF-8 becomes '?'. */
static json_t *text(const char *value)
{
    if (!value)
        return json_null();
    json_t *string = json_string(value);
    if (string)
        return string;
    char *clean = strdup(value);
    for (char *at = clean; clean && *at; at++) {
        if (*at & 0x80)
            *at = '?';
    }
    string = clean ? json_string(clean) : NULL;
    free(clean);
    return string;
}

/* Puts `value`, which it takes over. */
static void put(json_t *object, const char *key, json_t *value, int *error)
{
    if (json_object_set_new(object, key, value) != 0)
        *error = -ENOMEM;
}

static void append(json_t *array, json_t *value, int *error)
{
    if (json_array_append_new(array, value) != 0)
        *error = -ENOMEM;
}

static json_t *ledger(const hr_ledger *from, int *error)
{
    json_t *object = json_object();
    put(object, "name", text(from->name), error);
    put(object, "source", text(from->source), error);
    put(object, "measures", text(from->measures), error);
    put(object, "use_bytes", bytes(from->use_bytes), error);
    put(object, "limit_bytes", bytes(from->limit_bytes), error);
    put(object, "cache_bytes", bytes(from->cache_bytes), error);
    put(object, "binds", json_boolean(from->binds), error);
    put(object, "decides", json_boolean(from->decides), error);
    return object;
}

static json_t *signal(const hr_signal *from, int *error)
{
    json_t *object = json_object();
    put(object, "name", text(from->name), error);
    put(object, "usable", from->known ? json_boolean(from->usable) : json_null(), error);
    put(object, "detail", text(from->detail), error);
    return object;
}

/* The ratio, where a ledger decides it. */
static json_t *use(const hr_survey *survey)
{
    for (size_t i = 0; i < survey->ledger_count; i++) {
        if (survey->ledgers[i].decides)
            return json_real(survey->use);
    }
    return json_null();
}

static void put_figures(json_t *object, const hr_survey *survey, int *error)
{
    put(object, "level", text(hr_level_text(survey->level)), error);
    put(object, "use", use(survey), error);
    put(object, "limit_bytes", bytes(survey->limit_bytes), error);
    put(object, "limit_source", text(survey->limit_source), error);
    put(object, "declared_limit_bytes", bytes(survey->declared_limit_bytes), error);
    put(object, "cgroup_version", survey->cgroup_version ? json_integer(survey->cgroup_version) : json_null(), error);
    put(object, "cgroup_path", text(survey->cgroup_path), error);
    put(object, "cgroup_bytes", bytes(survey->cgroup_bytes), error);
    put(object, "cgroup_cache_bytes", bytes(survey->cgroup_cache_bytes), error);
    put(object, "rss_bytes", bytes(survey->rss_bytes), error);
    put(object, "host_total_bytes", bytes(survey->host_total_bytes), error);
    put(object, "host_available_bytes", bytes(survey->host_available_bytes), error);
    put(object, "allocator", text(survey->allocator), error);
    put(object, "allocator_purge", text(survey->allocator_purge), error);
    put(object, "lease_processes", json_integer((json_int_t)survey->lease_processes), error);
    put(object, "forked_children", json_integer((json_int_t)survey->forked_children), error);
}

int doctor_print_json(const hr_survey *survey, FILE *out)
{
    int error = 0;
    json_object_seed(1); /* all keys are ours: no need to ask the machine for a random one */
    json_t *object = json_object(), *ledgers = json_array(), *signals = json_array(), *unseen = json_array();
    put_figures(object, survey, &error);
    for (size_t i = 0; i < survey->ledger_count; i++)
        append(ledgers, ledger(&survey->ledgers[i], &error), &error);
    for (size_t i = 0; i < survey->signal_count; i++)
        append(signals, signal(&survey->signals[i], &error), &error);
    for (size_t i = 0; i < survey->unseen_count; i++)
        append(unseen, text(survey->unseen[i]), &error);
    put(object, "ledgers", ledgers, &error);
    put(object, "signals", signals, &error);
    put(object, "unseen", unseen, &error);
    if (!error && (json_dumpf(object, out, JSON_INDENT(2)) != 0 || fputc('\n', out) == EOF))
        error = -EIO;
    json_decref(object);
    return error;
}
