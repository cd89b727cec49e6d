/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/parse.h"

#include <headroom/base.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Reads digits at `text`, up to one of `ends`; a number too large for us is HR_NONE, which is what it means in these
 * files. At the end of the text it may have been cut, and "1048" of "104857600\n" would be a limit that nobody set. */
static int read_digits(const char *text, const char *ends, uint64_t *ret_value)
{
    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    uint64_t value = 0;
    bool over = false;
    for (; isdigit((unsigned char)*text); text++) {
        over |= __builtin_mul_overflow(value, 10, &value);
        over |= __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value);
    }
    if (*text == '\0' || !strchr(ends, *text))
        return -EINVAL;
    *ret_value = over ? HR_NONE : value;
    return 0;
}

int hri_parse_number(const char *text, uint64_t *ret_value)
{
    if (strncmp(text, "max\n", 4) == 0) {
        *ret_value = HR_NONE;
        return 0;
    }
    return read_digits(text, "\n", ret_value);
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : NULL;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

int hri_parse_key_field(const char *text, const char *key, unsigned index, uint64_t *ret_value)
{
    size_t length = strlen(key);
    for (const char *line = text; line && *line; line = next_line(line)) {
        if (strncmp(line, key, length) != 0 || !is_blank(line[length]))
            continue;
        const char *value = line + length;
        for (;; index--) {
            while (is_blank(*value))
                value++;
            if (index == 0)
                return read_digits(value, " \n", ret_value);
            while (*value && *value != '\n' && !is_blank(*value))
                value++;
        }
    }
    return -ENOENT;
}

int hri_parse_key(const char *text, const char *key, uint64_t *ret_value)
{
    return hri_parse_key_field(text, key, 0, ret_value);
}

int hri_parse_field(const char *text, unsigned index, uint64_t *ret_value)
{
    for (;; index--) {
        while (*text == ' ')
            text++;
        if (index == 0)
            return *text ? read_digits(text, " \n", ret_value) : -ENOENT;
        while (*text && *text != ' ')
            text++;
        if (!*text)
            return -ENOENT;
    }
}

/* Is `word` one of the comma-separated words between `list` and `end`? */
static bool has_word(const char *list, const char *end, const char *word)
{
    size_t length = strlen(word);
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma ? comma : end;
        if ((size_t)(stop - list) == length && memcmp(list, word, length) == 0)
            return true;
        list = stop + 1;
    }
    return false;
}

static int copy_span(const char *start, const char *end, char *buffer, size_t size)
{
    size_t length = (size_t)(end - start);
    if (length >= size)
        return -ENAMETOOLONG;
    memcpy(buffer, start, length);
    buffer[length] = '\0';
    return 0;
}

int hri_parse_cgroup_path(const char *text, const char *controller, char *ret_path, size_t size)
{
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *end = strchr(line, '\n');
        if (!end)
            return -ENOENT; /* cut short: a path that may go on is no path */
        const char *controllers = memchr(line, ':', (size_t)(end - line));
        const char *path = controllers ? memchr(controllers + 1, ':', (size_t)(end - controllers - 1)) : NULL;
        if (!path)
            continue;
        bool ours = controller ? has_word(controllers + 1, path, controller) : strncmp(line, "0::", 3) == 0;
        if (ours && path[1] == '/')
            return copy_span(path + 1, end, ret_path, size);
    }
    return -ENOENT;
}

/* Undoes mountinfo's octal escapes (\040 is a space) in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
                     from[3] >= '0' && from[3] <= '7';
        if (octal) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* The words of a mountinfo line that matter: "id parent dev root point options… - type source super-options". */
struct mount_line {
    const char *id, *id_end;
    const char *parent, *parent_end;
    const char *root, *root_end;
    const char *point, *point_end;
    const char *type, *type_end;
    const char *super, *super_end;
};

static const char *word_end(const char *at, const char *end)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    return space ? space : end;
}

static bool split_mount(const char *line, const char *end, struct mount_line *ret_mount)
{
    const char *starts[4] = {line}; /* id, parent, device, root */
    for (int word = 1; word < 4; word++) {
        const char *space = word_end(starts[word - 1], end);
        if (space == end)
            return false;
        starts[word] = space + 1;
    }
    struct mount_line mount = {.id = line,
                               .id_end = starts[1] - 1,
                               .parent = starts[1],
                               .parent_end = starts[2] - 1,
                               .root = starts[3],
                               .root_end = word_end(starts[3], end)};
    if (mount.root_end == end)
        return false;
    mount.point = mount.root_end + 1;
    mount.point_end = word_end(mount.point, end);
    const char *word = mount.point_end;
    while (word < end && !(end - word >= 3 && memcmp(word, " - ", 3) == 0))
        word = word + 1 < end ? word_end(word + 1, end) : end;
    if (word == end)
        return false;
    mount.type = word + 3;
    mount.type_end = word_end(mount.type, end);
    if (mount.type_end == end)
        return false;
    const char *source_end = word_end(mount.type_end + 1, end);
    mount.super = source_end == end ? end : source_end + 1;
    mount.super_end = end;
    *ret_mount = mount;
    return true;
}

static bool same_span(const char *a, const char *a_end, const char *b, const char *b_end)
{
    return a_end - a == b_end - b && memcmp(a, b, (size_t)(a_end - a)) == 0;
}

/* Is another mount on top of this one, so that nothing of it can be seen? */
static bool is_hidden(const char *text, const struct mount_line *mount)
{
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *end = strchr(line, '\n');
        struct mount_line other;
        if (end && split_mount(line, end, &other) &&
            same_span(other.parent, other.parent_end, mount->id, mount->id_end) &&
            same_span(other.point, other.point_end, mount->point, mount->point_end) &&
            !same_span(other.id, other.id_end, mount->id, mount->id_end))
            return true;
    }
    return false;
}

/* Does a path leave what it is seen from? A cgroup namespace shows what lies outside of it by "/..". */
static bool leads_out(const char *path)
{
    for (const char *at = strstr(path, "/.."); at; at = strstr(at + 1, "/..")) {
        if (at[3] == '/' || at[3] == '\0')
            return true;
    }
    return false;
}

/* The part of `path` that is below a mount's root; NULL where the path is not below it. */
static const char *below_root(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool below = strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
    if (!below || leads_out(path + length))
        return NULL;
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

int hri_parse_cgroup_mount(const char *text, const char *controller, const char *path, hri_cgroup_place *ret_place)
{
    const char *type = controller ? "cgroup" : "cgroup2", *best = NULL;
    bool found = false;
    if (strlen(path) >= HRI_MOUNT_BYTES)
        return -ENAMETOOLONG;
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *end = strchr(line, '\n');
        struct mount_line mount;
        if (!end || !split_mount(line, end, &mount) ||
            !same_span(mount.type, mount.type_end, type, type + strlen(type)))
            continue;
        if (controller && !has_word(mount.super, mount.super_end, controller))
            continue;
        char root[HRI_MOUNT_BYTES];
        if (copy_span(mount.root, mount.root_end, root, sizeof root) != 0 || is_hidden(text, &mount))
            continue;
        unescape(root);
        /* The longer the rest, the more groups above ours can be seen. */
        const char *below = below_root(path, root);
        bool better = !found || (below && (!best || strlen(below) > strlen(best)));
        if (!better || copy_span(mount.point, mount.point_end, ret_place->mount, HRI_MOUNT_BYTES) != 0)
            continue;
        unescape(ret_place->mount);
        found = true;
        best = below;
        ret_place->partial = !below || strcmp(root, "/") != 0;
        ret_place->of_pod = strstr(root, "/kubepods") != NULL;
        ret_place->outside = !below;
    }
    if (!found)
        return -ENOENT;
    if (!best)
        best = "";
    return copy_span(best, best + strlen(best), ret_place->below, HRI_MOUNT_BYTES);
}

/* Does the kernel give back the slabs of this name? Those of sockets, and of files on a tmpfs, go with their users. */
static bool is_given_back(const char *name, size_t length)
{
    static const char inode[] = "inode_cache";
    size_t ending = sizeof inode - 1;
    if (length == 6 && memcmp(name, "dentry", 6) == 0)
        return true;
    if ((length == 9 && memcmp(name, "xfs_inode", 9) == 0) || (length == 11 && memcmp(name, "btrfs_inode", 11) == 0))
        return true;
    bool pinned = strncmp(name, "sock_", 5) == 0 || strncmp(name, "shmem_", 6) == 0;
    return length >= ending && !pinned && memcmp(name + length - ending, inode, ending) == 0;
}

uint64_t hri_parse_slab(const char *line)
{
    const char *name_end = strchr(line, ' ');
    uint64_t objects, size, bytes;
    if (!name_end || !is_given_back(line, (size_t)(name_end - line)) || hri_parse_field(name_end, 1, &objects) != 0 ||
        hri_parse_field(name_end, 2, &size) != 0)
        return 0;
    return __builtin_mul_overflow(objects, size, &bytes) ? HR_NONE : bytes;
}

static bool begins(const char *start, const char *end, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(end - start) >= length && memcmp(start, word, length) == 0;
}

size_t hri_parse_mount_without_secrets(const char *line, const char *end, char *ret_line)
{
    struct mount_line mount;
    if (!split_mount(line, end, &mount))
        return 0;
    size_t length = (size_t)(end - line);
    if (begins(mount.type, mount.type_end, "cgroup")) {
        memcpy(ret_line, line, length + 1);
        return length + 1;
    }
    bool is_root = mount.point_end - mount.point == 1 && *mount.point == '/';
    bool on_the_way =
        is_root || begins(mount.point, mount.point_end, "/proc") || begins(mount.point, mount.point_end, "/sys");
    /* Numbers stand before the root. A line that has a path there is none of the kernel's. */
    if (!on_the_way || memchr(mount.id, '/', (size_t)(mount.root - mount.id)))
        return 0;
    char *to = ret_line;
    to = mempcpy(to, mount.id, (size_t)(mount.root - mount.id)); /* the root of a bind mount is a path of the host's */
    to = mempcpy(to, "/ ", 2);
    to = mempcpy(to, mount.point, (size_t)(mount.point_end - mount.point));
    to = mempcpy(to, " - ", 3);
    to = mempcpy(to, mount.type, (size_t)(mount.type_end - mount.type));
    to = mempcpy(to, " -\n", 3);
    return (size_t)(to - ret_line);
}
