/* SPDX-License-Identifier: Apache-2.0 */
/* The command's heap: libheadroom-malloc is loaded into it and into all that it starts, and their accounts are one. The
 * supervisor has made the page that they share (src/malloc/page.h), and hears of each process that comes or goes.
 *
 * A process says HELLO over a socket when its program begins, and gets the page. It keeps the socket open, so a hang-up
 * means that the process has ended or has executed another program, whatever ended it. A program that closes all its
 * descriptors hangs up too, and still has the page mapped: then a pidfd of it is watched.
 *
 * A run may itself be part of another run's tree, whose limit holds for it too. Then what its programs are charged with
 * is charged to a slot of that run's page as well, at each look, and they get no more than that page leaves. */
#ifndef RUN_HEAP_H
#define RUN_HEAP_H

#include "malloc/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <limits.h>

#define RUN_HEAP_LINKS_MAX (2 * HRI_MALLOC_SLOTS)
#define RUN_HEAP_NO_SLOT UINT32_MAX

typedef struct run_heap_link {
    int fd; /* below 0: free */
    int pid;
    uint32_t slot;   /* RUN_HEAP_NO_SLOT: it has not entered */
    bool is_process; /* `fd` is no socket but the process itself */
} run_heap_link;

/* The process that entered a slot. */
typedef struct run_heap_owner {
    int pid;        /* as the supervisor sees it; 0: nobody entered, or nobody hears of its end */
    int32_t number; /* as it says it in its slot: another in a container */
    uint64_t start; /* as its slot had it */
} run_heap_owner;

typedef struct run_heap {
    hri_malloc_page *page; /* NULL: the command runs without */
    int page_fd, listen_fd, epoll_fd;
    hri_malloc_page *outer; /* of the run that this one is part of; NULL: of none */
    unsigned outer_slot;
    uint64_t outer_bytes;      /* what is charged there for this run */
    uint64_t outer_left_bytes; /* HR_NONE without */
    uint64_t token;
    char where[160];        /* what HEADROOM_RUN is set to */
    char library[PATH_MAX]; /* what LD_PRELOAD begins with */
    run_heap_link links[RUN_HEAP_LINKS_MAX];
    run_heap_owner owners[HRI_MALLOC_SLOTS]; /* by slot */
    uint64_t entered;                        /* programs, ever */
    uint64_t live_bytes, live_peak_bytes;    /* in blocks and mappings of the programs, at the last look and ever */
    uint64_t least_bytes;                    /* that they ever were allowed */
    int64_t tidied_ns;
    uint64_t drift; /* that the last tidying has seen, and how often in a row */
    unsigned drift_count;
} run_heap;

/* Finds the library. Gives false and a sentence. */
bool run_heap_find(run_heap *heap, char *ret_why, size_t size);

/* Makes the page and the socket. Gives 0 or a negative errno. */
int run_heap_open(run_heap *heap, uint64_t limit_bytes, hri_malloc_on_limit on_limit, int64_t wait_ns);

/* In the child that becomes the command: has the library loaded into it. */
void run_heap_export(const run_heap *heap);

/* Hears what the processes say: when `epoll_fd` is readable. */
void run_heap_serve(run_heap *heap);

/* Settles the accounts of processes that are gone without a hang-up, and takes out what a kill left uncertain. */
void run_heap_tidy(run_heap *heap, int64_t now_ns);

/* How much its programs are charged with; 0 without a page. */
uint64_t run_heap_charged(const run_heap *heap);

/* Sets what they may be charged with: `limit_bytes`, or `room_bytes` where the groups around leave no more. */
void run_heap_bound(run_heap *heap, uint64_t limit_bytes, uint64_t room_bytes);
void run_heap_close(run_heap *heap);

#endif
