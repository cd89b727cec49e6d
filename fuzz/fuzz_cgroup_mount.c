/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_cgroup_mount(): /proc/self/mountinfo. The input's first line is the group's path, the rest the text. */
#include "fuzz.h"

#include "os/parse.h"

/* Nothing to do with cgroups, and on top of nothing. */
#define UNRELATED_POINT "/unrelated"
#define UNRELATED "x y 0:1 / " UNRELATED_POINT " rw - ext4 /dev/vda1 rw,memory\n"

static void check_found(const char *text, const char *path, const hri_cgroup_place *place)
{
    size_t length = strlen(path), below = strlen(place->below);
    HRF_CHECK(below <= length && strcmp(path + length - below, place->below) == 0);
    HRF_CHECK(below == 0 || place->below[0] == '/');
    HRF_CHECK(strlen(place->mount) < sizeof place->mount);
    HRF_CHECK(strchr(text, '\\') || strstr(text, place->mount));
    HRF_CHECK(place->partial || below == length || strcmp(path, "/") == 0);
    for (const char *at = strstr(place->below, "/.."); at; at = strstr(at + 1, "/.."))
        HRF_CHECK(at[3] != '/' && at[3] != '\0');
}

static void check(const char *text, const char *controller, const char *path)
{
    static hri_cgroup_place place, before, again;
    memset(&before, 'x', sizeof before);
    place = again = before;
    int error = hri_parse_cgroup_mount(text, controller, path, &place);
    HRF_CHECK(error == 0 || error == -ENOENT || error == -ENAMETOOLONG);
    if (error)
        HRF_CHECK(memcmp(&place, &before, sizeof place) == 0);
    else
        check_found(text, path, &place);
    if (strstr(text, UNRELATED_POINT))
        return;
    /* A mount that has nothing to do with it changes nothing. */
    size_t size = sizeof UNRELATED + strlen(text);
    char *more = malloc(size);
    if (!more)
        abort();
    snprintf(more, size, "%s%s", UNRELATED, text);
    HRF_CHECK(hri_parse_cgroup_mount(more, controller, path, &again) == error);
    if (!error)
        HRF_CHECK(strcmp(again.mount, place.mount) == 0 && strcmp(again.below, place.below) == 0);
    free(more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *path = hrf_text(data, size);
    char *text = hrf_cut_line(path);
    if (path[0] == '/') { /* else it is none of hri_parse_cgroup_path()'s */
        check(text, "memory", path);
        check(text, NULL, path);
    }
    free(path);
    return 0;
}
