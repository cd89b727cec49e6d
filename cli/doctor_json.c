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
json_t *text_as_json(const char *value)
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
    put(object, "name", text_as_json(from->name), error);
    put(object, "source", text_as_json(from->source), error);
    put(object, "measures", text_as_json(from->measures), error);
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
    put(object, "name", text_as_json(from->name), error);
    put(object, "usable", from->known ? json_boolean(from->usable) : json_null(), error);
    put(object, "detail", text_as_json(from->detail), error);
    return object;
}

static json_t *finding(const hr_finding *from, int *error)
{
    json_t *object = json_object();
    put(object, "id", text_as_json(from->id), error);
    put(object, "text", text_as_json(from->text), error);
    put(object, "advice", text_as_json(from->advice), error);
    return object;
}

static json_t *huge_pages(const hr_hugetlb *from, int *error)
{
    json_t *object = json_object();
    put(object, "source", text_as_json(from->source), error);
    put(object, "use_bytes", bytes(from->use_bytes), error);
    put(object, "limit_bytes", bytes(from->limit_bytes), error);
    return object;
}

static json_t *thresholds(const hr_threshold_bytes *from, int *error)
{
    json_t *object = json_object();
    put(object, "warn_at", bytes(from->warn_at), error);
    put(object, "warn_below", bytes(from->warn_below), error);
    put(object, "degrade_at", bytes(from->degrade_at), error);
    put(object, "critical_at", bytes(from->critical_at), error);
    put(object, "recover_below", bytes(from->recover_below), error);
    return object;
}

static json_t *pressure(const hr_pressure *from, int *error)
{
    if (!from->known)
        return json_null();
    json_t *object = json_object();
    put(object, "some_avg10", json_real(from->some_avg10), error);
    put(object, "some_avg60", json_real(from->some_avg60), error);
    put(object, "some_avg300", json_real(from->some_avg300), error);
    put(object, "some_total_us", bytes(from->some_total_us), error);
    put(object, "full_avg10", json_real(from->full_avg10), error);
    put(object, "full_avg60", json_real(from->full_avg60), error);
    put(object, "full_avg300", json_real(from->full_avg300), error);
    put(object, "full_total_us", bytes(from->full_total_us), error);
    return object;
}

static json_t *events(const hr_events *from, int *error)
{
    if (from->max == HR_NONE)
        return json_null();
    json_t *object = json_object();
    put(object, "low", bytes(from->low), error);
    put(object, "high", bytes(from->high), error);
    put(object, "max", bytes(from->max), error);
    put(object, "oom", bytes(from->oom), error);
    put(object, "oom_kill", bytes(from->oom_kill), error);
    put(object, "oom_group_kill", bytes(from->oom_group_kill), error);
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
    put(object, "level", text_as_json(hr_level_text(survey->level)), error);
    put(object, "use", use(survey), error);
    put(object, "limit_bytes", bytes(survey->limit_bytes), error);
    put(object, "limit_source", text_as_json(survey->limit_source), error);
    put(object, "declared_limit_bytes", bytes(survey->declared_limit_bytes), error);
    put(object, "cgroup_version", survey->cgroup_version ? json_integer(survey->cgroup_version) : json_null(), error);
    put(object, "cgroup_path", text_as_json(survey->cgroup_path), error);
    put(object, "cgroup_bytes", bytes(survey->cgroup_bytes), error);
    put(object, "cgroup_cache_bytes", bytes(survey->cgroup_cache_bytes), error);
    put(object, "swap_bytes", bytes(survey->swap_bytes), error);
    put(object, "dirty_bytes", bytes(survey->dirty_bytes), error);
    put(object, "thresholds_bytes", thresholds(&survey->thresholds, error), error);
    put(object, "pressure", pressure(&survey->pressure, error), error);
    put(object, "events", events(&survey->events, error), error);
    put(object, "rss_bytes", bytes(survey->rss_bytes), error);
    put(object, "host_total_bytes", bytes(survey->host_total_bytes), error);
    put(object, "host_available_bytes", bytes(survey->host_available_bytes), error);
    put(object, "allocator", text_as_json(survey->allocator), error);
    put(object, "allocator_purge", text_as_json(survey->allocator_purge), error);
    put(object, "lease_processes", json_integer((json_int_t)survey->lease_processes), error);
    put(object, "forked_children", json_integer((json_int_t)survey->forked_children), error);
}

static void put_lists(json_t *object, const hr_survey *survey, int *error)
{
    json_t *findings = json_array(), *hugetlb = json_array(), *ledgers = json_array(), *signals = json_array(),
           *unseen = json_array();
    for (size_t i = 0; i < survey->finding_count; i++)
        append(findings, finding(&survey->findings[i], error), error);
    for (size_t i = 0; i < survey->hugetlb_count; i++)
        append(hugetlb, huge_pages(&survey->hugetlb[i], error), error);
    for (size_t i = 0; i < survey->ledger_count; i++)
        append(ledgers, ledger(&survey->ledgers[i], error), error);
    for (size_t i = 0; i < survey->signal_count; i++)
        append(signals, signal(&survey->signals[i], error), error);
    for (size_t i = 0; i < survey->unseen_count; i++)
        append(unseen, text_as_json(survey->unseen[i]), error);
    put(object, "findings", findings, error);
    put(object, "hugetlb", hugetlb, error);
    put(object, "ledgers", ledgers, error);
    put(object, "signals", signals, error);
    put(object, "unseen", unseen, error);
}

int doctor_print_json(const hr_survey *survey, bool one_line, FILE *out)
{
    int error = 0;
    json_object_seed(1); /* all keys are ours: no need to ask the machine for a random one */
    json_t *object = json_object();
    put_figures(object, survey, &error);
    put_lists(object, survey, &error);
    if (!error && (json_dumpf(object, out, one_line ? JSON_COMPACT : JSON_INDENT(2)) != 0 || fputc('\n', out) == EOF))
        error = -EIO;
    json_decref(object);
    return error;
}
