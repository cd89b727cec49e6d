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

#define FILE_BYTES (64 * 1024)

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

static void load(const char *folder, const char *name, hrt_layout *ret_layout)
{
    char path[PATH_MAX], json[4096];
    *ret_layout = (hrt_layout){0};
    snprintf(ret_layout->name, sizeof ret_layout->name, "%.63s", name);
    snprintf(ret_layout->root, sizeof ret_layout->root, "%s/%s/root", folder, name);
    snprintf(path, sizeof path, "%s/%s/expected.json", folder, name);
    read_whole(path, json, sizeof json);
    ret_layout->limit_bytes = number_of(json, "limit_bytes");
    text_of(json, "limit_source", ret_layout->limit_source, sizeof ret_layout->limit_source);
    uint64_t version = number_of(json, "cgroup_version");
    ret_layout->cgroup_version = version == HR_NONE ? 0 : version;
    text_of(json, "cgroup_path", ret_layout->cgroup_path, sizeof ret_layout->cgroup_path);
    ret_layout->cgroup_bytes = number_of(json, "cgroup_bytes");
    ret_layout->cgroup_cache_bytes = number_of(json, "cgroup_cache_bytes");
    text_of(json, "level", ret_layout->level, sizeof ret_layout->level);
}

static int is_layout(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && !strchr(entry->d_name, '.'); /* not README.md */
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

/* nftw() has no context. */
static struct {
    size_t prefix;
    const hrt_world *world; /* where to copy to */
    hrt_file_fn *visit;
    void *context;
} walk;

static int copy_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    static char text[FILE_BYTES];
    (void)status, (void)at;
    if (kind != FTW_F)
        return 0;
    read_whole(path, text, sizeof text);
    hrt_world_write(walk.world, path + walk.prefix, text);
    return 0;
}

void hrt_layout_copy(const hrt_layout *layout, const hrt_world *world)
{
    walk.prefix = strlen(layout->root);
    walk.world = world;
    if (nftw(layout->root, copy_one, 16, FTW_PHYS) != 0)
        abort();
}

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
