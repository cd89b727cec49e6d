/* SPDX-License-Identifier: Apache-2.0 */
/* A file system with one file. It takes what is written to it into the page cache, and then never gets it written: as a
 * network file system whose server has gone.
 *
 *     stuck FOLDER      mounts it, says "mounted", and serves until it is killed; then umount -l FOLDER
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t size;

static int get_attributes(const char *path, struct stat *status, struct fuse_file_info *file)
{
    (void)file;
    bool is_root = strcmp(path, "/") == 0;
    memset(status, 0, sizeof *status);
    status->st_mode = is_root ? S_IFDIR | 0700 : S_IFREG | 0600;
    status->st_nlink = 1;
    status->st_size = is_root ? 0 : size;
    return is_root || strcmp(path, "/file") == 0 ? 0 : -ENOENT;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
    (void)path, (void)file;
    return 0;
}

static int read_file(const char *path, char *buffer, size_t bytes, off_t at, struct fuse_file_info *file)
{
    (void)path, (void)at, (void)file;
    memset(buffer, 0, bytes);
    return (int)bytes;
}

static int truncate_file(const char *path, off_t to, struct fuse_file_info *file)
{
    (void)path, (void)file;
    size = to;
    return 0;
}

static int write_file(const char *path, const char *bytes, size_t count, off_t at, struct fuse_file_info *file)
{
    (void)path, (void)bytes, (void)count, (void)at, (void)file;
    while (pause() < 0)
        ;
    return -EIO;
}

static void *begin(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)config;
    connection->want |= connection->capable & FUSE_CAP_WRITEBACK_CACHE;
    printf(connection->want & FUSE_CAP_WRITEBACK_CACHE ? "mounted\n" : "no writeback cache\n");
    fflush(stdout);
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct fuse_operations operations = {
        .getattr = get_attributes,
        .open = open_file,
        .read = read_file,
        .write = write_file,
        .truncate = truncate_file,
        .init = begin,
    };
    char name[] = "stuck", foreground[] = "-f";
    char *arguments[] = {name, foreground, argc == 2 ? argv[1] : NULL, NULL};
    return argc == 2 ? fuse_main(3, arguments, &operations, NULL) : 2;
}
