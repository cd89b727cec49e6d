/* SPDX-License-Identifier: Apache-2.0 */
#include "budget/untouched.h"

#include "base/lock.h"
#include "os/pages.h"

typedef struct hri_untouched_shard hri_shard;

/* By the higher bits of an address, multiplied by the golden ratio's: neighbours are apart. */
static hri_shard *shard_at(hri_untouched *untouched, const void *address)
{
    uint64_t hash = (uint64_t)((uintptr_t)address >> 12) * UINT64_C(0x9e3779b97f4a7c15);
    return &untouched->shards[hash >> 60 & (HRI_UNTOUCHED_SHARDS - 1)];
}

/* Every thread has a stack of its own. */
static hri_shard *shard_of_thread(hri_untouched *untouched)
{
    char here;
    return shard_at(untouched, (const void *)((uintptr_t)&here & ~(uintptr_t)0xfffff));
}

static void change(_Atomic uint64_t *sum, uint64_t bytes)
{
    atomic_fetch_add_explicit(sum, bytes, memory_order_relaxed);
}

int hri_untouched_init(hri_untouched *untouched)
{
    for (unsigned i = 0; i < HRI_UNTOUCHED_SHARDS; i++) {
        int error = hri_lock_init(&untouched->shards[i].lock);
        if (!error)
            continue;
        while (i > 0)
            pthread_mutex_destroy(&untouched->shards[--i].lock);
        return error;
    }
    return 0;
}

void hri_untouched_destroy(hri_untouched *untouched)
{
    for (unsigned i = 0; i < HRI_UNTOUCHED_SHARDS; i++)
        pthread_mutex_destroy(&untouched->shards[i].lock);
}

void hri_untouched_fork(hri_untouched *untouched, hri_fork moment)
{
    for (unsigned i = 0; i < HRI_UNTOUCHED_SHARDS; i++)
        hri_fork_lock(&untouched->shards[i].lock, moment);
}

void hri_untouched_expect(hri_untouched *untouched, uint64_t bytes)
{
    change(&shard_of_thread(untouched)->expected, bytes);
}

void hri_untouched_arrive(hri_untouched *untouched, uint64_t bytes)
{
    change(&shard_of_thread(untouched)->expected, -bytes);
}

static void set_link(hri_untouched_node *node, hri_untouched_node **link)
{
    atomic_store_explicit(&node->link, link, memory_order_relaxed);
}

void hri_untouched_add(hri_untouched *untouched, hri_untouched_node *node, const void *raw, size_t size)
{
    hri_shard *shard = shard_at(untouched, node);
    node->raw = raw;
    node->size = size;
    node->bytes = size;
    pthread_mutex_lock(&shard->lock);
    node->next = shard->first;
    if (node->next)
        set_link(node->next, &node->next);
    shard->first = node;
    set_link(node, &shard->first);
    change(&shard->bytes, node->bytes);
    pthread_mutex_unlock(&shard->lock);
}

/* Under the lock. */
static void unlink_node(hri_shard *shard, hri_untouched_node *node)
{
    hri_untouched_node **link = atomic_load_explicit(&node->link, memory_order_relaxed);
    if (!link)
        return;
    *link = node->next;
    if (node->next)
        set_link(node->next, link);
    set_link(node, NULL);
    change(&shard->bytes, -node->bytes);
}

void hri_untouched_remove(hri_untouched *untouched, hri_untouched_node *node)
{
    if (!atomic_load_explicit(&node->link, memory_order_relaxed))
        return; /* it was seen whole: it does not come back */
    hri_shard *shard = shard_at(untouched, node);
    pthread_mutex_lock(&shard->lock);
    unlink_node(shard, node);
    pthread_mutex_unlock(&shard->lock);
}

uint64_t hri_untouched_bytes(const hri_untouched *untouched)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < HRI_UNTOUCHED_SHARDS; i++) {
        bytes += atomic_load_explicit(&untouched->shards[i].expected, memory_order_relaxed);
        bytes += atomic_load_explicit(&untouched->shards[i].bytes, memory_order_relaxed);
    }
    return bytes;
}

static void measure(hri_shard *shard)
{
    for (hri_untouched_node *node = shard->first, *next; node; node = next) {
        next = node->next;
        uint64_t bytes = hri_pages_absent(node->raw, node->size);
        change(&shard->bytes, bytes - node->bytes);
        node->bytes = bytes;
        if (bytes == 0)
            unlink_node(shard, node);
    }
}

void hri_untouched_measure(hri_untouched *untouched)
{
    for (unsigned i = 0; i < HRI_UNTOUCHED_SHARDS; i++) {
        hri_shard *shard = &untouched->shards[i];
        if (atomic_load_explicit(&shard->bytes, memory_order_relaxed) == 0)
            continue;
        pthread_mutex_lock(&shard->lock);
        measure(shard);
        pthread_mutex_unlock(&shard->lock);
    }
}
