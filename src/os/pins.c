/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/pins.h"

#include "base/checked.h"
#include "base/uncancelled.h"
#include "os/file.h"
#include "os/parse.h"

#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>

#define PIECE_BYTES 4096
#define POINT_BYTES 256
#define TYPE " - tmpfs "

/* A name that is long takes more. */
#define NAME_BYTES 208

#define NODE_PAGES 64

/* Counts the files on the tmpfs that a line of mountinfo says of, "id parent dev root point …". A file of two pages has
 * a node, and a large one has one more for each 64 pages. */
static void add_mount(const char *line, void *context)
{
    hri_pins *pins = context;
    char point[POINT_BYTES];
    struct statfs facts;
    if (!strstr(line, TYPE) || sscanf(line, "%*s %*s %*s %*s %255s", point) != 1 || statfs(point, &facts) != 0)
        return;
    uint64_t files = hri_sub(facts.f_files, facts.f_ffree), pages = hri_sub(facts.f_blocks, facts.f_bfree);
    pins->tmpfs_files = hri_add(pins->tmpfs_files, files);
    pins->tmpfs_nodes = hri_add(pins->tmpfs_nodes, hri_min(files, pages / 2) + pages / NODE_PAGES);
}

static void read_mounts(hri_pins *pins)
{
    int fd = hri_file_open("", "/proc/self/mountinfo");
    hri_file_each_line(fd, add_mount, pins);
    hri_file_close(fd);
}

/* The `index`th number of a file that is a line of numbers. */
static uint64_t number_in(const char *path, unsigned index)
{
    char text[PIECE_BYTES];
    uint64_t value;
    if (hri_file_read_path("", path, text, sizeof text) <= 0)
        return 0;
    for (char *at = text; *at; at++)
        *at = *at == '\t' ? ' ' : *at;
    return hri_parse_field(text, index, &value) == 0 ? value : 0;
}

void hri_pins_read(bool whole, int members_fd, hri_pins *ret_pins)
{
    HRI_UNCANCELLED;
    if (whole) {
        ret_pins->tmpfs_files = ret_pins->tmpfs_nodes = 0;
        read_mounts(ret_pins);
        hri_descriptors_read(members_fd, &ret_pins->kept);
    }
    /* A name of a file that is there keeps its inode; until Linux 5.0 the fifth number is 0. */
    uint64_t names = number_in("/proc/sys/fs/dentry-state", 1), absent = number_in("/proc/sys/fs/dentry-state", 4);
    uint64_t inodes = hri_add(number_in("/proc/sys/fs/inode-state", 1), hri_sub(names, absent));
    ret_pins->idle_bytes = hri_add(hri_mul(names, NAME_BYTES), hri_mul(inodes, HRI_PIN_INODE_BYTES));
}
