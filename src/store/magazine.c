/* SPDX-License-Identifier: Apache-2.0 */
#include "store/magazine.h"

#include "base/checked.h"

#include <stdlib.h>

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

hri_magazine *hri_magazine_new(hri_engine *engine)
{
    hri_magazine *magazine;
    while ((magazine = engine->empty) != NULL) {
        engine->empty = magazine->next;
        if (magazine->capacity == engine->slots)
            return magazine;
        magazine->next = engine->stale; /* uncharging may tell the program of a new level, which wants no lock held */
        engine->stale = magazine;
    }
    size_t bytes = bytes_of(engine->slots);
    magazine = malloc(bytes);
    if (!magazine || hr_budget_try_charge(engine->options.budget, bytes) != 0) {
        free(magazine);
        return NULL;
    }
    *magazine = (hri_magazine){.capacity = engine->slots};
    return magazine;
}

void hri_magazine_keep(hri_engine *engine, hri_magazine *magazine)
{
    magazine->next = engine->empty;
    engine->empty = magazine;
}

hri_magazine *hri_magazine_take_empty(hri_engine *engine)
{
    hri_magazine *magazine, *all = engine->stale;
    while ((magazine = engine->empty) != NULL) {
        engine->empty = magazine->next;
        magazine->next = all;
        all = magazine;
    }
    engine->stale = NULL;
    return all;
}

uint64_t hri_magazine_free_all(hri_engine *engine, hri_magazine *magazines)
{
    uint64_t sum = 0;
    while (magazines) {
        hri_magazine *magazine = magazines;
        magazines = magazine->next;
        sum += bytes_of(magazine->capacity);
        free(magazine);
    }
    if (sum > 0)
        hr_budget_uncharge(engine->options.budget, sum);
    return sum;
}

bool hri_magazine_has(const hri_magazine *magazine, const void *block)
{
    for (unsigned i = 0; magazine && i < magazine->count; i++)
        if (magazine->slots[i] == block)
            return true;
    return false;
}
