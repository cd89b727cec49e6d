/* SPDX-License-Identifier: Apache-2.0 */
/* A fork copies the address at which the stack begins, and exec draws a new one. */
#include "os/children.h"

#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAT_BYTES 1024
#define PATH_BYTES 64
#define PARENT_FIELD 4
#define STACK_FIELD 28

typedef struct person {
    long parent;
    uint64_t stack; /* 0: not shown to us */
    char program[PATH_MAX];
} person;

/* The nth field of a line of /proc/PID/stat, from the third on; NULL: there is none. The second may have any byte in
 * it. */
static const char *field(const char *line, int nth)
{
    const char *at = strrchr(line, ')');
    for (int i = 2; at && i < nth; i++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at;
}

static bool look_at(long pid, person *ret_person)
{
    char path[PATH_BYTES], line[STAT_BYTES];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (hri_file_read_path("", path, line, sizeof line) <= 0)
        return false;
    const char *parent = field(line, PARENT_FIELD), *stack = field(line, STACK_FIELD);
    if (!parent || !stack)
        return false;
    ret_person->parent = strtol(parent, NULL, 10);
    ret_person->stack = strtoull(stack, NULL, 10);
    snprintf(path, sizeof path, "/proc/%ld/exe", pid);
    ssize_t length = readlink(path, ret_person->program, sizeof ret_person->program - 1);
    ret_person->program[length > 0 ? length : 0] = '\0';
    return true;
}

static bool shares(const person *child, const person *parent)
{
    if (child->stack && parent->stack)
        return child->stack == parent->stack;
    return child->program[0] && strcmp(child->program, parent->program) == 0;
}

int hri_children_count(int pid)
{
    person parent, child;
    long number = pid ? pid : getpid();
    if (!look_at(number, &parent))
        return -ESRCH;
    DIR *folder = opendir("/proc");
    if (!folder)
        return -errno;
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        long other = strtol(entry->d_name, NULL, 10);
        count += other > 0 && look_at(other, &child) && child.parent == number && shares(&child, &parent);
    }
    closedir(folder);
    return count;
}
