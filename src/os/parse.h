/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of the kernel's texts: bytes in, numbers out. They read no file, allocate nothing and trust nothing. A text
 * may be cut short anywhere. A number or path without its end is not read, since the kernel ends each of its lines.
 * Each gives 0, -ENOENT where the text does not have it, or -EINVAL where it is no number. */
#ifndef HRI_OS_PARSE_H
#define HRI_OS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number alone, such as memory.current; "max" gives HR_NONE. */
int hri_parse_number(const char *text, uint64_t *ret_value);

/* The number behind `key` at the start of a line, as in memory.stat ("anon 4096") and meminfo ("MemTotal:  16 kB"). In
 * meminfo the key carries its colon, and the caller has to know the unit. */
int hri_parse_key(const char *text, const char *key, uint64_t *ret_value);

/* The `index`th number behind `key`, as in ZFS's arcstats ("size  4  1073741824"); from 0. */
int hri_parse_key_field(const char *text, const char *key, unsigned index, uint64_t *ret_value);

/* The `index`th number of a line of numbers, as in statm; from 0. */
int hri_parse_field(const char *text, unsigned index, uint64_t *ret_value);

/* This process's group in /proc/self/cgroup: of the v1 hierarchy with this controller, such as "memory"; NULL: of v2
 * (the line "0::/path"). */
int hri_parse_cgroup_path(const char *text, const char *controller, char *ret_path, size_t size);

#define HRI_MOUNT_BYTES 4096

/* Where a group can be seen. */
typedef struct hri_cgroup_place {
    char mount[HRI_MOUNT_BYTES]; /* the mount point */
    char below[HRI_MOUNT_BYTES]; /* the group's path below it: "" for the mount point itself, even where the group lies
                                    outside of what is mounted, as in some containers */
    bool partial;                /* what is mounted is only a part of the tree */
    bool of_pod;                 /* that part is in a pod of Kubernetes */
    bool outside;                /* and the group is not in it */
} hri_cgroup_place;

/* Where a hierarchy is mounted, by /proc/self/mountinfo. Of several mounts that can be seen the one that shows most
 * groups above `path` is taken: each may be limited. */
int hri_parse_cgroup_mount(const char *text, const char *controller, const char *path, hri_cgroup_place *ret_place);

/* The bytes of a line of slabinfo, if its slab is one of names or inodes that the kernel gives back; else 0. */
uint64_t hri_parse_slab(const char *line);

/* Writes the part of a line of mountinfo that may be shown. A line of a cgroup file system is written as it is. A mount
 * in /proc or on the way to one in /sys is written without its source and options, in which people and hosts are named.
 * Of others nothing is written. `line` ends at `end`, where its line end is. Gives the length, at most twice the line's
 * with its end. */
size_t hri_parse_mount_without_secrets(const char *line, const char *end, char *ret_line);

#endif
