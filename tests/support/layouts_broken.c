/* SPDX-License-Identifier: Apache-2.0 */
/* Files that end too early, cannot be opened or are something else: half a copy, a sandbox's rules, a kernel of
 * tomorrow. A figure that is read is right, or it is not known and the survey says so; never the head of a number. */
#define _GNU_SOURCE
#include "support/layouts.h"

#include "gauge/reading.h"

#include <headroom/survey.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUES_MAX 64

/* The results that are permitted. */
struct truth {
    uint64_t limits[VALUES_MAX];
    unsigned limit_count;
    hri_reading whole;
};

static struct cut {
    hrt_world world;
    const hrt_layout *layout;
    struct truth truth;
    size_t step;
    bool between_lines; /* memory.stat ends with a whole line */
    unsigned offences;
} cut;

static void look(hri_reading *reading)
{
    hri_gauge gauge;
    *reading = (hri_reading){0};
    if (hri_gauge_open(&gauge, &(hri_site){.root = cut.world.root}, &cut.world.clock) != 0)
        abort();
    hri_gauge_read(&gauge, true, reading);
    hri_gauge_close(&gauge);
}

static void may_be(uint64_t limit)
{
    if (cut.truth.limit_count == VALUES_MAX)
        abort();
    cut.truth.limits[cut.truth.limit_count++] = limit;
}

/* Collects the limits that stand in the files, by other means than the parsers. */
static void collect(const char *path, size_t size, void *context)
{
    static char text[64 * 1024];
    (void)size, (void)context;
    hrt_world_read(&cut.world, path, text, sizeof text);
    const char *name = strrchr(path, '/') + 1;
    const char *hierarchical = strstr(text, "hierarchical_memory_limit ");
    if (strcmp(name, "memory.max") == 0 || strcmp(name, "memory.high") == 0 ||
        strcmp(name, "memory.limit_in_bytes") == 0)
        may_be(strtoull(text, NULL, 10)); /* "max" gives a 0 too many, which no file here is the head of */
    else if (strcmp(name, "memory.stat") == 0 && hierarchical)
        may_be(strtoull(strchr(hierarchical, ' '), NULL, 10));
}

static bool is_true_limit(uint64_t limit)
{
    for (unsigned i = 0; i < cut.truth.limit_count; i++) {
        if (cut.truth.limits[i] == limit)
            return true;
    }
    return limit == HR_NONE;
}

static bool is_true_use(const hri_cgroup_reading *group)
{
    if (cut.between_lines)
        return true; /* nobody can tell it from a kernel that has fewer lines */
    for (unsigned i = 0; i < cut.truth.whole.group_count; i++) {
        const hri_cgroup_reading *whole = &cut.truth.whole.groups[i];
        /* The host's figure of reclaimable memory sorts one from the other; their sum is the group's. */
        if (whole->use_bytes + whole->doubtful_bytes == group->use_bytes + group->doubtful_bytes &&
            whole->cache_bytes == group->cache_bytes)
            return true;
    }
    return group->use_bytes == HR_NONE || group->limit_bytes == HR_NONE;
}

static void offend(const char *path, size_t length, const char *what, uint64_t value)
{
    if (cut.offences++ < 20)
        fprintf(stderr, "%s: %s cut after %zu bytes: %s %llu\n", cut.layout->name, path, length, what,
                (unsigned long long)value);
}

static bool same_or_none(uint64_t value, uint64_t whole)
{
    return value == whole || value == HR_NONE;
}

static void check(const char *path, size_t length)
{
    hri_reading reading;
    const hri_reading *whole = &cut.truth.whole;
    look(&reading);
    for (unsigned i = 0; i < reading.group_count; i++) {
        if (!is_true_limit(reading.groups[i].limit_bytes))
            offend(path, length, "limit", reading.groups[i].limit_bytes);
        if (!is_true_use(&reading.groups[i]))
            offend(path, length, "use", reading.groups[i].use_bytes);
    }
    if (!same_or_none(reading.host.total_bytes, whole->host.total_bytes))
        offend(path, length, "host", reading.host.total_bytes);
    if (!same_or_none(reading.host.available_bytes, whole->host.available_bytes))
        offend(path, length, "available", reading.host.available_bytes);
    if (!same_or_none(reading.process.rss_bytes, whole->process.rss_bytes))
        offend(path, length, "resident", reading.process.rss_bytes);
    if (!same_or_none(reading.process.data_bytes, whole->process.data_bytes))
        offend(path, length, "data", reading.process.data_bytes);
}

#define ENDS 24

static void cut_one(const char *path, size_t size, void *context)
{
    static char text[64 * 1024];
    char whole[PATH_MAX];
    (void)context;
    hrt_world_read(&cut.world, path, text, sizeof text);
    snprintf(whole, sizeof whole, "%s%s", cut.world.root, path);
    for (size_t length = size; length-- > 0;) {
        bool chosen = length % cut.step == 0 || length < ENDS || length + ENDS >= size;
        if (!chosen)
            continue;
        if (truncate(whole, (off_t)length) != 0)
            abort();
        cut.between_lines = length > 0 && text[length - 1] == '\n' && strstr(path, "/memory.stat");
        check(path, length);
    }
    hrt_world_write(&cut.world, path, text);
}

static void set_up(const hrt_layout *layout)
{
    hrt_world_new(&cut.world);
    hrt_layout_unpack(layout, &cut.world);
    cut.layout = layout;
    cut.truth = (struct truth){0};
    hrt_world_each(&cut.world, collect, NULL);
    look(&cut.truth.whole);
}

static void cut_layout(const hrt_layout *layout)
{
    set_up(layout);
    hrt_world_each(&cut.world, cut_one, NULL);
    hrt_world_free(&cut.world);
}

unsigned hrt_layouts_cut(size_t step)
{
    cut.step = step;
    cut.offences = 0;
    return hrt_layouts_each(cut_layout) == 0 || cut.offences;
}

/* Gives 0, or what is wrong with what the survey says of a tree in which a file cannot be read. */
static int survey_offence(void)
{
    hr_survey *survey;
    if (hr_survey_new(&(hr_survey_options){.root = cut.world.root}, &survey) != 0)
        return 1;
    const hrt_layout *layout = cut.layout;
    int offence = 0;
    if (!is_true_limit(survey->limit_bytes) && survey->limit_bytes != cut.truth.whole.host.total_bytes)
        offence = 2;
    bool same = survey->limit_bytes == layout->limit_bytes && survey->cgroup_bytes == layout->cgroup_bytes;
    if (!same && survey->unseen_count == 0)
        offence = 3;
    hr_survey_free(survey);
    return offence;
}

static void say(const char *path, const char *how, int offence)
{
    static const char *const texts[] = {"", "there is no survey", "a wrong limit", "nothing is said of it"};
    if (offence == 0)
        return;
    cut.offences++;
    fprintf(stderr, "%s: %s %s: %s\n", cut.layout->name, path, how, texts[offence]);
}

#define NOBODY 65534

static void give_one(const char *path, size_t size, void *context)
{
    char whole[PATH_MAX];
    (void)size, (void)context;
    snprintf(whole, sizeof whole, "%s%s", cut.world.root, path);
    if (chown(whole, NOBODY, NOBODY) != 0)
        abort();
}

static void lock_one(const char *path, size_t size, void *context)
{
    char whole[PATH_MAX];
    (void)size, (void)context;
    snprintf(whole, sizeof whole, "%s%s", cut.world.root, path);
    if (chmod(whole, 0) != 0)
        abort();
    say(path, "unreadable", survey_offence());
    if (chmod(whole, 0644) != 0)
        abort();
}

/* Makes each file unreadable, in a process that may not read everything: root may. */
static void lock_each(void)
{
    bool root = getuid() == 0;
    if (root)
        hrt_world_each(&cut.world, give_one, NULL);
    if (chmod(cut.world.root, 0755) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        if (root && setuid(NOBODY) != 0)
            _exit(1);
        hrt_world_each(&cut.world, lock_one, NULL);
        _exit(cut.offences > 0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    cut.offences += status != 0;
}

static void hide_one(const char *path, size_t size, void *context)
{
    char whole[PATH_MAX], away[PATH_MAX];
    (void)size, (void)context;
    snprintf(whole, sizeof whole, "%s%s", cut.world.root, path);
    snprintf(away, sizeof away, "%s-away", cut.world.root);
    if (rename(whole, away) != 0)
        abort();
    say(path, "absent", survey_offence() % 3); /* no kernel has to have it, so no line need tell that it is absent */
    if (mkdir(whole, 0755) != 0)
        abort();
    say(path, "a folder", survey_offence());
    if (rmdir(whole) != 0 || rename(away, whole) != 0)
        abort();
}

static void hide_in_layout(const hrt_layout *layout)
{
    set_up(layout);
    lock_each();
    hrt_world_each(&cut.world, hide_one, NULL);
    hrt_world_free(&cut.world);
}

unsigned hrt_layouts_hide(void)
{
    cut.offences = 0;
    return hrt_layouts_each(hide_in_layout) == 0 || cut.offences;
}
