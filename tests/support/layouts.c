/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/layouts.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAYOUT_BYTES (256 * 1024)

static size_t read_whole(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, buffer, size - 1);
    if (length < 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        abort();
    }
    close(fd);
    buffer[length] = '\0';
    return (size_t)length;
}

/* Finds what stands behind "key": in a flat object; NULL where that is null. */
static const char *value_of(const char *json, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(json, quoted);
    if (!at) {
        fprintf(stderr, "expected.json has no %s\n", key);
        abort();
    }
    at += strlen(quoted);
    return strncmp(at, "null", 4) == 0 ? NULL : at;
}

static uint64_t number_of(const char *json, const char *key)
{
    const char *value = value_of(json, key);
    return value ? strtoull(value, NULL, 10) : HR_NONE;
}

static void text_of(const char *json, const char *key, char *ret_text, size_t size)
{
    size_t length = 0;
    const char *value = value_of(json, key);
    for (const char *at = value ? value + 1 : "\""; *at && *at != '"' && length + 1 < size; at++) {
        if (*at == '\\')
            at++;
        ret_text[length++] = *at;
    }
    ret_text[length] = '\0';
}

/* The words of a list, with a space between two. */
static void list_of(const char *json, const char *key, char *ret_text, size_t size)
{
    size_t length = 0;
    const char *at = value_of(json, key);
    for (bool inside = false; at && *at && *at != ']' && length + 1 < size; at++) {
        inside ^= *at == '"';
        if (inside && *at == '"' && length > 0)
            ret_text[length++] = ' ';
        else if (inside && *at != '"')
            ret_text[length++] = *at;
    }
    ret_text[length] = '\0';
}

#define MARK "@@@ "

/* Finds the next line that begins a file, from a line's start on. */
static char *next_mark(char *line)
{
    if (strncmp(line, MARK, strlen(MARK)) == 0)
        return line;
    char *end = strstr(line, "\n" MARK);
    return end ? end + 1 : NULL;
}

/* Splits off the file that begins at `mark`: terminates its path and its text. Gives the next mark. */
static char *split(char *mark, char **ret_path, char **ret_text)
{
    *ret_path = mark + strlen(MARK);
    char *end = *ret_path + strcspn(*ret_path, "\n");
    *ret_text = *end ? end + 1 : end;
    *end = '\0';
    char *next = next_mark(*ret_text);
    if (next)
        *next = '\0';
    return next;
}

static void take(const char *json, hrt_layout *ret_layout)
{
    ret_layout->limit_bytes = number_of(json, "limit_bytes");
    text_of(json, "limit_source", ret_layout->limit_source, sizeof ret_layout->limit_source);
    uint64_t version = number_of(json, "cgroup_version");
    ret_layout->cgroup_version = version == HR_NONE ? 0 : version;
    text_of(json, "cgroup_path", ret_layout->cgroup_path, sizeof ret_layout->cgroup_path);
    ret_layout->cgroup_bytes = number_of(json, "cgroup_bytes");
    ret_layout->cgroup_cache_bytes = number_of(json, "cgroup_cache_bytes");
    text_of(json, "level", ret_layout->level, sizeof ret_layout->level);
    list_of(json, "findings", ret_layout->findings, sizeof ret_layout->findings);
}

/* Calls `take` or writes, for each file of a layout. */
static void each_file(const char *layout_path, hrt_layout *layout, const hrt_world *world)
{
    static char whole[LAYOUT_BYTES];
    read_whole(layout_path, whole, sizeof whole);
    for (char *mark = next_mark(whole); mark;) {
        char *path, *text, *next = split(mark, &path, &text);
        if (layout && strcmp(path, "expected.json") == 0)
            take(text, layout);
        if (world && path[0] == '/')
            hrt_world_write(world, path, text);
        if (next)
            *next = MARK[0];
        mark = next;
    }
}

static void load(const char *folder, const char *name, hrt_layout *ret_layout)
{
    *ret_layout = (hrt_layout){0};
    snprintf(ret_layout->name, sizeof ret_layout->name, "%.*s", (int)strcspn(name, "."), name);
    snprintf(ret_layout->path, sizeof ret_layout->path, "%s/%s", folder, name);
    each_file(ret_layout->path, ret_layout, NULL);
    if (!ret_layout->level[0]) {
        fprintf(stderr, "%s has no expected.json\n", ret_layout->path);
        abort();
    }
}

static int is_layout(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".layout") == 0;
}

unsigned hrt_layouts_each(void (*visit)(const hrt_layout *layout))
{
    char folder[PATH_MAX / 4];
    const char *source = getenv("HEADROOM_SOURCE_DIR");
    snprintf(folder, sizeof folder, "%s/tests/fixtures/layouts", source ? source : ".");
    struct dirent **entries;
    int count = scandir(folder, &entries, is_layout, alphasort);
    for (int i = 0; i < count; i++) {
        hrt_layout layout;
        load(folder, entries[i]->d_name, &layout);
        visit(&layout);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return count < 0 ? 0 : (unsigned)count;
}

void hrt_layout_unpack(const hrt_layout *layout, const hrt_world *world)
{
    each_file(layout->path, NULL, world);
}

/* nftw() has no context. */
static struct {
    size_t prefix;
    hrt_file_fn *visit;
    void *context;
} walk;

static int visit_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)at;
    if (kind == FTW_F)
        walk.visit(path + walk.prefix, (size_t)status->st_size, walk.context);
    return 0;
}

void hrt_world_each(const hrt_world *world, hrt_file_fn *visit, void *context)
{
    walk.prefix = strlen(world->root);
    walk.visit = visit;
    walk.context = context;
    if (nftw(world->root, visit_one, 16, FTW_PHYS) != 0)
        abort();
}

size_t hrt_world_read(const hrt_world *world, const char *path, char *buffer, size_t size)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s%s", world->root, path);
    return read_whole(whole, buffer, size);
}
