/* SPDX-License-Identifier: Apache-2.0 */
/* A process and its host: resident set, address space, resource limits, what the host could still give.
 *
 * Another process is known by its open statm, which the kernel ties to the process and not to its number. When the
 * process has ended that file can no longer be read, even if another process has been given the number. */
#ifndef HRI_OS_PROCESS_H
#define HRI_OS_PROCESS_H

#include "os/file.h"
#include "os/host.h"
#include "os/site.h"

#include <headroom/base.h>

/* The open files; -1 where there is none. */
typedef struct hri_process {
    int statm_fd;
    int meminfo_fd;
    int limits_fd;   /* resource limits of another process, or under another root */
    int arcstats_fd; /* ZFS's cache */
    int status_fd;   /* this and the next two: of this process on this machine only */
    int place_fd;
    hri_file_mark mark; /* of statm: as long as that is its own, all are */
    int pid;            /* 0: this process */
    bool own;           /* this process on this machine */
} hri_process;

/* Bytes; HR_NONE where a figure is absent or a limit is none. */
typedef struct hri_process_reading {
    uint64_t rss_bytes;
    uint64_t anonymous_bytes;     /* the part of rss_bytes that is neither file nor shared */
    uint64_t address_bytes;       /* VmSize */
    uint64_t address_limit_bytes; /* RLIMIT_AS */
    uint64_t data_bytes;          /* VmData with the stack, as statm has it */
    uint64_t data_limit_bytes;    /* RLIMIT_DATA */
} hri_process_reading;

/* Gives 0; -ENOENT, -ENOTDIR or -EACCES for a root that is no folder to look into; -ESRCH if there is no such process;
 * or a shortage. */
int hri_site_check(const hri_site *site);

bool hri_process_is_self(int pid);

/* Gives 0; -ESRCH if another process than this is meant and there is none; or the shortage that kept it from opening:
 * -ENOMEM, -EMFILE, -ENFILE. Any other file that cannot be opened is no error. */
int hri_process_open(hri_process *process, const hri_site *site);
/* Closes its files, unless the program has closed them: see hri_process_abandon(). */
void hri_process_close(hri_process *process);

/* Forgets its files, which are not its own any more: their numbers may be those of the program's files. */
void hri_process_abandon(hri_process *process);
void hri_process_read(const hri_process *process, hri_process_reading *ret_reading);

/* Has another process, which there was when this was opened, ended, and been waited for? False where its statm cannot
 * be read at all. Figures that were read by its number before this gave false were its own. */
bool hri_process_is_gone(const hri_process *process);

/* Shared memory that the process maps, as RssShmem says; 0 where that cannot be read. Costs some microseconds. */
uint64_t hri_process_read_shared(const hri_process *process);

/* Tells one place of the process from another: a hash of what /proc says of its groups; 0 where that cannot be read. */
uint64_t hri_process_read_place(const hri_process *process);

/* The soft limit on open files; HR_NONE: none, or not known. */
uint64_t hri_process_read_files_limit(const hri_process *process);

/* The host's figures cost as much as all others together. */
void hri_process_read_host(const hri_process *process, hri_host_reading *ret_reading);

#endif
