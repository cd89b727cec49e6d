/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/magazine.h"

#include "alloc/alloc.h"
#include "base/checked.h"

#include <string.h>

static void set_slots(hri_engine *engine, uint64_t slots)
{
    slots = hri_min(slots, HRI_MAGAZINE_BYTES / engine->options.block_bytes);
    engine->slots = (unsigned)hri_max(1, hri_min(slots, HRI_MAGAZINE_SLOTS_MAX));
    engine->meetings = 0;
}

void hri_magazine_init(hri_engine *engine)
{
    uint64_t slots = hri_min(HRI_MAGAZINE_BYTES_FIRST / engine->options.block_bytes, HRI_MAGAZINE_SLOTS);
    set_slots(engine, hri_max(slots, HRI_MAGAZINE_SLOTS_LEAST));
}

void hri_magazine_lock(hri_engine *engine)
{
    if (pthread_mutex_trylock(&engine->lock) == 0)
        return;
    pthread_mutex_lock(&engine->lock);
    if (++engine->meetings >= HRI_MAGAZINE_MEETINGS)
        set_slots(engine, 2 * engine->slots);
}

static size_t bytes_of(unsigned capacity)
{
    return sizeof(hri_magazine) + capacity * sizeof(void *);
}

static hri_magazine *allocate(hri_engine *engine, unsigned capacity)
{
    hri_magazine *magazine = hri_block_get(engine->options.budget, bytes_of(capacity), HRI_BLOCK_QUIET);
    if (magazine)
        *magazine = (hri_magazine){.capacity = capacity};
    return magazine;
}

/* For who calls without the lock, since uncharging may tell the program of a new level. */
static void free_later(hri_engine *engine, hri_magazine *magazine)
{
    magazine->next = engine->stale;
    engine->stale = magazine;
}

hri_magazine *hri_magazine_new(hri_engine *engine)
{
    hri_magazine *magazine;
    while ((magazine = engine->empty) != NULL) {
        engine->empty = magazine->next;
        if (magazine->capacity == engine->slots)
            return magazine;
        free_later(engine, magazine);
    }
    return allocate(engine, engine->slots);
}

bool hri_magazine_grow(hri_engine *engine, hri_magazine **magazine)
{
    hri_magazine *old = *magazine;
    if (old && old->count < old->capacity)
        return true;
    hri_magazine *larger = allocate(engine, old ? 2 * old->capacity : HRI_MAGAZINE_SLOTS_GROWING);
    if (!larger)
        return false;
    if (old) {
        memcpy(larger->slots, old->slots, old->count * sizeof old->slots[0]);
        larger->count = old->count;
        free_later(engine, old);
    }
    *magazine = larger;
    return true;
}

void hri_magazine_keep(hri_engine *engine, hri_magazine *magazine)
{
    magazine->next = engine->empty;
    engine->empty = magazine;
}

hri_magazine *hri_magazine_take_empty(hri_engine *engine)
{
    hri_magazine *magazine, *all;
    while ((magazine = engine->empty) != NULL) {
        engine->empty = magazine->next;
        free_later(engine, magazine);
    }
    if (engine->full && engine->full->count == 0) {
        free_later(engine, engine->full);
        engine->full = NULL;
    }
    all = engine->stale;
    engine->stale = NULL;
    return all;
}

uint64_t hri_magazine_free_all(hri_engine *engine, hri_magazine *magazines)
{
    uint64_t sum = 0;
    while (magazines) {
        hri_magazine *magazine = magazines;
        magazines = magazine->next;
        sum += hri_block_put(magazine);
    }
    if (sum > 0)
        hri_budget_uncharge_block(engine->options.budget, sum);
    return sum;
}
