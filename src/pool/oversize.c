/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of the addresses, chained through what stands before each block. It doubles when there are as many
 * blocks as buckets; where there is no memory for that, chains get longer.
 */
#include "pool/oversize.h"

#include "alloc/alloc.h"
#include "base/lock.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* The head in front of each block. */
struct hri_oversize_block {
    alignas(max_align_t) hri_oversize_block *next;
    size_t size;
    uint64_t charge_bytes;
};

int hri_oversize_init(hri_oversize *set, hr_budget *budget, hri_pool_sum *sum, bool wipe)
{
    *set = (hri_oversize){.budget = budget, .sum = sum, .wipe = wipe, .bits = 4};
    _Static_assert(HRI_OVERSIZE_BUCKETS == 1 << 4, "as many as `bits` says");
    set->buckets = set->first_buckets;
    return hri_lock_init(&set->lock);
}

void hri_oversize_destroy(hri_oversize *set)
{
    if (set->buckets != set->first_buckets)
        free(set->buckets);
    pthread_mutex_destroy(&set->lock);
}

/* ── the table ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Multiplication spreads the bits of an address to the top. */
static hri_oversize_block **bucket_of(hri_oversize_block **buckets, unsigned bits, const hri_oversize_block *node)
{
    return &buckets[((uintptr_t)node >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits)];
}

static void grow(hri_oversize *set)
{
    unsigned bits = set->bits + 1;
    hri_oversize_block **buckets = calloc((size_t)1 << bits, sizeof(void *)), *node;
    if (!buckets)
        return;
    for (size_t i = 0; i < (size_t)1 << set->bits; i++) {
        while ((node = set->buckets[i]) != NULL) {
            hri_oversize_block **bucket = bucket_of(buckets, bits, node);
            set->buckets[i] = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    }
    if (set->buckets != set->first_buckets)
        free(set->buckets);
    set->buckets = buckets;
    set->bits = bits;
}

static void enter(hri_oversize *set, hri_oversize_block *node)
{
    pthread_mutex_lock(&set->lock);
    if (set->out >> set->bits)
        grow(set);
    hri_oversize_block **bucket = bucket_of(set->buckets, set->bits, node);
    node->next = *bucket;
    *bucket = node;
    set->out++;
    set->out_bytes += node->charge_bytes;
    set->served++;
    pthread_mutex_unlock(&set->lock);
}

/* Takes a block out; NULL: it is none. */
static hri_oversize_block *leave(hri_oversize *set, const void *block)
{
    hri_oversize_block *wanted = (hri_oversize_block *)((uintptr_t)block - sizeof *wanted);
    pthread_mutex_lock(&set->lock);
    hri_oversize_block **at = bucket_of(set->buckets, set->bits, wanted);
    while (*at && *at != wanted)
        at = &(*at)->next;
    hri_oversize_block *node = *at;
    if (node) {
        *at = node->next;
        set->out--;
        set->out_bytes -= node->charge_bytes;
    }
    pthread_mutex_unlock(&set->lock);
    return node;
}

/* ── getting and putting ────────────────────────────────────────────────────────────────────────────────────────── */

static void *refuse(hri_oversize *set, int error)
{
    pthread_mutex_lock(&set->lock);
    set->refused++;
    pthread_mutex_unlock(&set->lock);
    errno = -error;
    return NULL;
}

static hri_oversize_block *allocate(hri_oversize *set, size_t size)
{
    size_t bytes;
    if (__builtin_add_overflow(size, sizeof(hri_oversize_block), &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    hri_oversize_block *node = set->wipe ? hr_calloc(set->budget, 1, bytes) : hr_alloc(set->budget, bytes);
    if (node)
        *node = (hri_oversize_block){.size = size, .charge_bytes = hri_block_cost(node)};
    return node;
}

void *hri_oversize_get(hri_oversize *set, size_t size)
{
    hri_oversize_block *node = allocate(set, size);
    if (!node)
        return refuse(set, -errno);
    hri_pool_sum_add(set->sum, node->charge_bytes);
    enter(set, node);
    return node + 1;
}

bool hri_oversize_put(hri_oversize *set, void *block)
{
    int saved = errno;
    hri_oversize_block *node = leave(set, block);
    if (!node)
        return false;
    uint64_t bytes = node->charge_bytes;
    if (set->wipe)
        explicit_bzero(block, node->size);
    hri_pool_sum_sub(set->sum, bytes);
    hr_free(node);
    hri_pool_sum_settle(set->sum, bytes);
    errno = saved;
    return true;
}

void hri_oversize_read(hri_oversize *set, hr_pool_figures *figures)
{
    pthread_mutex_lock(&set->lock);
    figures->in_use += set->out;
    figures->in_use_bytes += set->out_bytes;
    figures->unpooled += set->served;
    figures->refused += set->refused;
    pthread_mutex_unlock(&set->lock);
}
