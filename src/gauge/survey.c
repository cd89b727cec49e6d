/* SPDX-License-Identifier: Apache-2.0 */
/* A survey reads the same gauges as a guard and weighs them by the same rule, without a budget. The rooms below have
 * put what they could not see into the findings. All texts live in the survey's own block or in the gauge's names.
 */
#include <headroom/survey.h>

#include "base/checked.h"
#include "gauge/ledger.h"
#include "gauge/levels.h"
#include "gauge/survey_notes.h"
#include "os/children.h"
#include "os/clock.h"
#include "os/environment.h"
#include "os/feature.h"
#include "os/file.h"
#include "os/heap.h"
#include "os/pressure.h"
#include "os/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIGNALS 3
#define DETAIL_BYTES (2 * HRI_PRESSURE_TEXT_BYTES + 32)

/* The block behind a survey: its face comes first. */
struct survey {
    hr_survey face;
    hri_findings findings;
    hri_copy copy;
    hri_gauge gauge; /* its files are open only while the survey is made, unless it stays */
    bool stays;
    hri_reading reading;
    hr_ledger ledgers[HRI_LEDGERS_MAX];
    hr_signal signals[SIGNALS];
    char details[SIGNALS][DETAIL_BYTES];
};

/* ── signals ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int ask_pressure(struct survey *survey, char *detail)
{
    hri_pressure pressure;
    const hri_site *site = &survey->gauge.site;
    int error = hri_pressure_open(&pressure, site, &survey->gauge.chain);
    if (error)
        return error;
    const char *why = pressure.why[0] ? pressure.why : "armed";
    snprintf(detail, DETAIL_BYTES, pressure.source[0] ? "%s (%s)" : "%s%s", pressure.source, why);
    survey->signals[0].usable = pressure.source[0] != '\0';
    hri_pressure_close(&pressure);
    return 0;
}

/* Asks for each signal; under another root for none: they are the machine's. */
static int ask_signals(struct survey *survey)
{
    static const char *const names[SIGNALS] = {"memory pressure (PSI)", "rseq", "membarrier"};
    const hri_site *site = &survey->gauge.site;
    for (unsigned i = 0; i < SIGNALS; i++) {
        survey->signals[i] = (hr_signal){.name = names[i], .known = !site->only_place, .detail = survey->details[i]};
        strcpy(survey->details[i], "not asked: another root is no machine that runs");
    }
    if (site->only_place)
        return 0;
    int error = ask_pressure(survey, survey->details[0]);
    if (error)
        return error;
    if (site->pid) {
        survey->signals[1].known = false;
        strcpy(survey->details[1], "not asked: each process registers its own");
    } else {
        survey->signals[1].usable = hri_feature_rseq(survey->details[1], DETAIL_BYTES);
    }
    survey->signals[2].usable = hri_feature_membarrier(survey->details[2], DETAIL_BYTES);
    return 0;
}

/* ── figures ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void ask_allocator(struct survey *survey)
{
    const hri_site *site = &survey->gauge.site;
    hri_allocator allocator = HRI_ALLOCATOR_UNKNOWN;
    if (site->only_place)
        return;
    if (!site->pid) {
        allocator = hri_heap_allocator();
    } else {
        int error = hri_heap_find(site, &allocator);
        if (hri_file_shortage(error))
            survey->findings.shortage = error;
        if (error) {
            hri_findings_add(&survey->findings, "/proc/%d/maps cannot be read: %s. The allocator is not known.",
                             site->pid, strerror(-error));
            return;
        }
    }
    survey->face.allocator = hri_allocator_text(allocator);
    survey->face.allocator_purge = hri_allocator_purge_text(allocator);
}

static void decide_level(hr_survey *face, hr_level strained, int64_t now_ns)
{
    hri_level_rules rules = {0};
    hri_level_state state = {0};
    if (hri_level_rules_fit(&rules) != 0)
        return;
    face->level =
        hri_level_next(&rules, &state, &(hri_level_input){.use = face->use, .now_ns = now_ns, .strain = strained});
    face->thresholds = (hr_threshold_bytes){
        .warn_at = hri_share(face->limit_bytes, rules.warn_at),
        .warn_below = hri_share(face->limit_bytes, rules.warn_below),
        .degrade_at = hri_share(face->limit_bytes, rules.degrade_at),
        .critical_at = hri_share(face->limit_bytes, rules.critical_at),
        .recover_below = hri_share(face->limit_bytes, rules.recover_below),
    };
}

/* The group that binds, or the own one where none is limited; below 0: there is none. */
static int shown_group(const hri_reading *reading)
{
    return reading->binding >= 0 ? reading->binding : (reading->group_count ? 0 : -1);
}

static void show_group(hr_survey *face, const hri_reading *reading, int shown)
{
    const hri_cgroup_reading *group = shown < 0 ? &hri_cgroup_unknown : &reading->groups[shown];
    face->cgroup_bytes = group->use_bytes;
    face->cgroup_cache_bytes = group->cache_bytes;
    face->swap_bytes = group->swap_bytes;
    face->dirty_bytes = group->use_bytes == HR_NONE ? HR_NONE : group->dirty_bytes;
    face->doubtful_bytes = group->use_bytes == HR_NONE ? HR_NONE : group->doubtful_bytes;
    face->events = reading->events;
    const hri_stalls *stalls = &reading->stalls;
    face->pressure = (hr_pressure){
        .known = stalls->known,
        .some_avg10 = stalls->some.avg10,
        .some_avg60 = stalls->some.avg60,
        .some_avg300 = stalls->some.avg300,
        .full_avg10 = stalls->full.avg10,
        .full_avg60 = stalls->full.avg60,
        .full_avg300 = stalls->full.avg300,
        .some_total_us = stalls->some.total_us,
        .full_total_us = stalls->full.total_us,
    };
}

/* Reads a variable of the process. NULL: it is not set, or that cannot be found out, which the survey then tells. */
static char *variable(struct survey *survey, const char *name)
{
    char *value = NULL;
    int error = hri_environment_read(&survey->gauge.site, name, &value);
    if (error == -ENOMEM || hri_file_shortage(error))
        survey->findings.shortage = error;
    else if (error && error != -ENODATA)
        hri_findings_add(&survey->findings,
                         "The environment of process %d cannot be read: %s. Whether it has %s is not known.",
                         survey->gauge.site.pid, strerror(-error), name);
    return value;
}

/* The limits that the environment declares, and those that it hints at: a hint may be no more than what was asked for.
 * */
static void ask_environment(struct survey *survey)
{
    static const char *const platforms[] = {"SLURM_MEM_PER_NODE", "NOMAD_MEMORY_LIMIT",
                                            "ECS_CONTAINER_METADATA_URI_V4"};
    char *declared = variable(survey, HRI_DECLARED_VARIABLE);
    if (hri_declared_parse(declared, &survey->reading.declared) != 0)
        hri_findings_add(&survey->findings,
                         HRI_DECLARED_VARIABLE
                         " is '%s', which is no size such as 512M and no share such as 80%%: it declares "
                         "nothing, and guards of the process cannot be made.",
                         declared);
    free(declared);
    for (size_t i = 0; i < sizeof platforms / sizeof *platforms && !survey->findings.shortage; i++) {
        char *value = variable(survey, platforms[i]);
        if (value)
            hri_findings_add(
                &survey->findings,
                "%s is '%s': the platform may have a limit that cannot be seen from inside. " HRI_DECLARED_VARIABLE
                " declares it.",
                platforms[i], value);
        free(value);
    }
}

/* Weighs what was read. */
static void weigh(struct survey *survey)
{
    hr_survey *face = &survey->face;
    hri_reading *reading = &survey->reading;
    hri_books books = {.reading = reading, .no_budget = true};
    hri_ledgers ledgers;
    hri_ledgers_compute(&books, &ledgers);
    face->ledger_count = hri_ledgers_list(&books, &ledgers, survey->gauge.sources, survey->ledgers);
    face->ledgers = survey->ledgers;
    face->use = ledgers.use;
    face->limit_bytes = ledgers.kernel_limit_bytes;
    face->declared_limit_bytes = hri_ledgers_declared(&books);
    face->limit_source = hri_ledgers_source(&books, &ledgers, survey->gauge.sources);
    face->rss_bytes = reading->process.rss_bytes;
    face->host_total_bytes = reading->host.total_bytes;
    face->host_available_bytes = reading->host.available_bytes;
    hri_strain_input strain = hri_ledgers_strain(&books);
    strain.once = true;
    const hri_survey_facts facts = {
        .books = &books,
        .ledgers = &ledgers,
        .shown = shown_group(reading),
        .strained = hri_strain_sample(&(hri_strain){0}, &strain),
        .files_limit = hri_process_read_files_limit(&survey->gauge.process),
    };
    show_group(face, reading, facts.shown);
    decide_level(face, facts.strained, reading->time_ns);
    hri_survey_note(&facts, &survey->findings);
}

/* Counts the processes that grant memory of the same limit, and forked children, which take it without a grant. */
static void ask_company(struct survey *survey)
{
    const hri_gauge *gauge = &survey->gauge;
    const hri_reading *reading = &survey->reading;
    if (gauge->site.only_place)
        return;
    for (unsigned i = 0; i < reading->group_count && !survey->face.lease_processes; i++)
        if (reading->groups[i].limit_bytes != HR_NONE)
            survey->face.lease_processes = hri_share_count(gauge->chain.groups[i].fds[HRI_FILE_LIMIT]);
    int children = hri_children_count(gauge->site.pid);
    survey->face.forked_children = children > 0 ? (unsigned)children : 0;
}

/* Where a copy has no resource limits or no process, those ledgers are left out. */
static void leave_out_absent(struct survey *survey)
{
    size_t count = 0;
    for (size_t i = 0; i < survey->face.ledger_count; i++) {
        const hr_ledger *ledger = &survey->ledgers[i];
        if (ledger->use_bytes != HR_NONE || ledger->limit_bytes != HR_NONE || strcmp(ledger->name, "cgroup") == 0)
            survey->ledgers[count++] = *ledger;
    }
    survey->face.ledger_count = count;
}

/* ── making ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int fill(struct survey *survey)
{
    int error = ask_signals(survey);
    if (error)
        return error;
    ask_environment(survey);
    hri_gauge_read(&survey->gauge, HRI_READ_ALL | HRI_READ_ONCE, &survey->reading);
    hri_gauge_read_unlimited(&survey->gauge, &survey->reading);
    weigh(survey);
    leave_out_absent(survey);
    ask_allocator(survey);
    ask_company(survey);
    hr_survey *face = &survey->face;
    face->signals = survey->signals;
    face->signal_count = SIGNALS;
    face->cgroup_version = survey->findings.cgroup_version;
    face->cgroup_path = survey->findings.cgroup_path;
    face->cgroup_folder = survey->findings.cgroup_folder;
    face->unseen = (const char *const *)survey->findings.unseen;
    face->unseen_count = survey->findings.unseen_count;
    face->findings = survey->findings.notes;
    face->finding_count = survey->findings.note_count;
    face->hugetlb = survey->findings.hugetlb;
    face->hugetlb_count = survey->findings.hugetlb_count;
    return survey->findings.shortage;
}

int hr_survey_new(const hr_survey_options *options, hr_survey **ret_survey)
{
    static const hr_survey_options defaults;
    if (!options)
        options = &defaults;
    if (!ret_survey || options->pid < 0 || (options->root && !options->root[0]) ||
        (options->collect && !options->collect[0]))
        return -EINVAL;
    bool elsewhere = options->root && strcmp(options->root, "/") != 0;
    hri_site site = {
        .root = elsewhere ? options->root : "",
        .pid = hri_process_is_self(options->pid) && !elsewhere ? 0 : options->pid,
        .only_place = elsewhere,
    };
    int error = hri_site_check(&site);
    if (error)
        return error;
    struct survey *survey = calloc(1, sizeof *survey);
    if (!survey)
        return -ENOMEM;
    site.findings = &survey->findings;
    survey->stays = options->stays;
    survey->copy.folder = options->collect;
    site.copy = options->collect ? &survey->copy : NULL;
    error = hri_gauge_open(&survey->gauge, &site, &hri_os_clock);
    if (error)
        goto free_survey;
    error = fill(survey);
    if (!error && hri_process_is_gone(&survey->gauge.process))
        error = -ESRCH; /* it ended meanwhile: some of what was read by its number may be another's */
    if (!error)
        error = survey->copy.error;
    survey->gauge.site.findings = NULL; /* nothing more is found, nor copied */
    survey->gauge.site.copy = NULL;
    if (error || !survey->stays)
        hri_gauge_shut(&survey->gauge);
    if (error) {
        hr_survey_free(&survey->face);
        return error;
    }
    *ret_survey = &survey->face;
    return 0;

free_survey:
    hri_findings_free(&survey->findings);
    free(survey);
    return error;
}

int hr_survey_again(hr_survey *face)
{
    struct survey *survey = (struct survey *)face;
    if (!survey || !survey->stays)
        return -EINVAL;
    if (hri_process_is_gone(&survey->gauge.process))
        return -ESRCH;
    hri_gauge_read(&survey->gauge, 0, &survey->reading);
    hri_gauge_read_unlimited(&survey->gauge, &survey->reading);
    weigh(survey);
    leave_out_absent(survey);
    return 0;
}

void hr_survey_free(hr_survey *face)
{
    struct survey *survey = (struct survey *)face;
    if (!survey)
        return;
    hri_gauge_close(&survey->gauge);
    hri_findings_free(&survey->findings);
    free(survey);
}
