/* SPDX-License-Identifier: Apache-2.0 */
#include "budget/untouched.h"

#include "base/checked.h"
#include "base/lock.h"
#include "budget/section.h"
#include "os/resident.h"

#include <stdbool.h>

typedef struct hri_shard {
    alignas(64) pthread_mutex_t lock;
    hri_untouched_node *first; /* to be asked about next */
    hri_untouched_node *asked; /* after all those */
    _Atomic uint64_t bytes;    /* of all in the list */
    _Atomic uint64_t expected; /* charged for blocks that are on their way into the list */
} hri_shard;

#define SHARD                                                                                                          \
    {                                                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                                              \
    }
#define FOUR_SHARDS SHARD, SHARD, SHARD, SHARD

static hri_shard shards[] = {
    FOUR_SHARDS,
#ifndef __SANITIZE_THREAD__ /* which cannot follow more than 64 locks at a time, and a fork takes all that there are */
    FOUR_SHARDS,
    FOUR_SHARDS,
    FOUR_SHARDS,
#endif
};
#define SHARDS (sizeof shards / sizeof *shards)

static pthread_mutex_t measuring = PTHREAD_MUTEX_INITIALIZER; /* guards the next; taken before a shard's */
static unsigned next_shard;

/* By the higher bits of an address, multiplied by the golden ratio's: neighbours are apart. */
static hri_shard *shard_at(const void *address)
{
    uint64_t hash = (uint64_t)((uintptr_t)address >> 12) * UINT64_C(0x9e3779b97f4a7c15);
    return &shards[hash >> 60 & (SHARDS - 1)];
}

/* A word that every thread has at another place. */
static hri_shard *shard_of_thread(void)
{
    return shard_at(&hri_inner_depth);
}

static void change(_Atomic uint64_t *sum, uint64_t bytes)
{
    atomic_fetch_add_explicit(sum, bytes, memory_order_relaxed);
}

void hri_untouched_fork(hri_fork moment)
{
    hri_fork_lock(&measuring, moment);
    for (unsigned i = 0; i < SHARDS; i++)
        hri_fork_lock(&shards[i].lock, moment);
}

void hri_untouched_expect(uint64_t bytes)
{
    change(&shard_of_thread()->expected, bytes);
}

void hri_untouched_arrive(uint64_t bytes)
{
    atomic_fetch_sub_explicit(&shard_of_thread()->expected, bytes, memory_order_release);
}

static void set_link(hri_untouched_node *node, hri_untouched_node **link)
{
    atomic_store_explicit(&node->link, link, memory_order_relaxed);
}

/* Under the lock. */
static void push(hri_untouched_node **list, hri_untouched_node *node)
{
    node->next = *list;
    if (node->next)
        set_link(node->next, &node->next);
    *list = node;
    set_link(node, list);
}

static void link_node(hri_shard *shard, hri_untouched_node *node)
{
    push(&shard->first, node);
    change(&shard->bytes, node->bytes);
}

static void take_out(hri_untouched_node *node)
{
    hri_untouched_node **link = atomic_load_explicit(&node->link, memory_order_relaxed);
    *link = node->next;
    if (node->next)
        set_link(node->next, link);
}

/* Once its link is cleared the node may be gone: who frees it looks at that alone. */
static void unlink_node(hri_shard *shard, hri_untouched_node *node)
{
    take_out(node);
    change(&shard->bytes, -node->bytes);
    atomic_store_explicit(&node->link, NULL, memory_order_release);
}

void hri_untouched_widen(hri_untouched_node *node, const hri_span *span, uint64_t more)
{
    if (!more && !atomic_load_explicit(&node->link, memory_order_relaxed))
        return;
    hri_shard *shard = shard_at(node);
    hri_inner_lock(&shard->lock);
    if (atomic_load_explicit(&node->link, memory_order_relaxed)) {
        node->bytes += more;
        change(&shard->bytes, more);
    } else if (more) {
        node->bytes = more;
        link_node(shard, node);
    }
    node->span = *span;
    hri_inner_unlock(&shard->lock);
}

void hri_untouched_remove(hri_untouched_node *node)
{
    if (!atomic_load_explicit(&node->link, memory_order_acquire))
        return; /* it was seen whole: it does not come back */
    hri_shard *shard = shard_at(node);
    hri_inner_lock(&shard->lock);
    if (atomic_load_explicit(&node->link, memory_order_relaxed))
        unlink_node(shard, node);
    hri_inner_unlock(&shard->lock);
}

/* A block that arrives meanwhile is counted twice, not missed: what is expected is read first. */
uint64_t hri_untouched_bytes(void)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        bytes += atomic_load_explicit(&shards[i].expected, memory_order_acquire);
    for (unsigned i = 0; i < SHARDS; i++)
        bytes += atomic_load_explicit(&shards[i].bytes, memory_order_relaxed);
    return bytes;
}

/* Under the lock. */
static void ask_about(hri_shard *shard, hri_untouched_node *node, int map)
{
    uint64_t bytes = hri_sub(hri_resident_absent(map, node->span.raw, node->span.size), node->span.spare);
    change(&shard->bytes, bytes - node->bytes);
    node->bytes = bytes;
    if (bytes == 0) {
        unlink_node(shard, node);
    } else {
        take_out(node);
        push(&shard->asked, node);
    }
}

/* Begins again with those that were asked about. */
static void turn(hri_shard *shard)
{
    shard->first = shard->asked;
    shard->asked = NULL;
    if (shard->first)
        set_link(shard->first, &shard->first);
}

/* Asks about a shard's, as far as `*most` goes. Gives whether that was all of them. */
static bool measure(hri_shard *shard, int map, unsigned *most)
{
    hri_inner_lock(&shard->lock);
    for (; *most > 0 && shard->first; --*most)
        ask_about(shard, shard->first, map);
    bool all = !shard->first;
    if (all)
        turn(shard);
    hri_inner_unlock(&shard->lock);
    return all;
}

void hri_untouched_measure(void)
{
    unsigned most = HRI_UNTOUCHED_ASKED;
    int map = hri_resident_open();
    hri_inner_lock(&measuring);
    for (unsigned i = 0; i < SHARDS && measure(&shards[next_shard], map, &most); i++)
        next_shard = (next_shard + 1) % SHARDS;
    hri_inner_unlock(&measuring);
    hri_resident_close(map);
}
