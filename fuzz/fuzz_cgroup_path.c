/* SPDX-License-Identifier: Apache-2.0 */
/* hri_parse_cgroup_path(): /proc/self/cgroup. The input's first byte is the size of the buffer, the rest the text. */
#include "fuzz.h"

#include "os/parse.h"

#define ROOM_MAX 255

/* A path is what stands behind the second colon of a whole line. */
static void check_found(const char *text, int version, const char *path)
{
    HRF_CHECK(path[0] == '/');
    HRF_CHECK(!strchr(path, '\n'));
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        size_t length = strcspn(line, "\n"), path_length = strlen(path);
        if (line[length] != '\n' || length <= path_length || line[length - path_length - 1] != ':' ||
            strncmp(line + length - path_length, path, path_length) != 0)
            continue;
        const char *first = memchr(line, ':', length);
        const char *second = first ? memchr(first + 1, ':', (size_t)(line + length - first - 1)) : NULL;
        if (second != line + length - path_length - 1)
            continue;
        size_t word = (size_t)(second - first - 1);
        if (version == 2 ? first == line + 1 && line[0] == '0' && word == 0 : word >= strlen("memory"))
            return;
    }
    hrf_fail(__FILE__, __LINE__, "the path stands in a line");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t room = data[0];
    char *text = hrf_text(data + 1, size - 1);
    for (int version = 1; version <= 2; version++) {
        char path[ROOM_MAX + 1], before[ROOM_MAX + 1];
        memset(path, 'x', sizeof path);
        memset(before, 'x', sizeof before);
        int error = hri_parse_cgroup_path(text, version == 1 ? "memory" : NULL, path, room);
        HRF_CHECK(error == 0 || error == -ENOENT || error == -ENAMETOOLONG);
        if (error) {
            HRF_CHECK(memcmp(path, before, sizeof path) == 0);
            continue;
        }
        HRF_CHECK(memchr(path, '\0', room));
        HRF_CHECK(memcmp(path + room, before, sizeof path - room) == 0);
        check_found(text, version, path);
    }
    free(text);
    return 0;
}
