/* SPDX-License-Identifier: Apache-2.0 */
#include "base/figures.h"

#include "base/lock.h"

#include <stdio.h>
#include <string.h>

int hri_figures_init(hri_figure_registry *registry)
{
    registry->first = NULL;
    return hri_lock_init(&registry->lock);
}

void hri_figures_destroy(hri_figure_registry *registry)
{
    pthread_mutex_destroy(&registry->lock);
}

void hri_figures_fork(hri_figure_registry *registry, hri_fork moment)
{
    hri_fork_lock(&registry->lock, moment);
}

void hri_figures_add(hri_figure_registry *registry, hri_figure_source *source)
{
    pthread_mutex_lock(&registry->lock);
    hri_figure_source **at = &registry->first;
    while (*at)
        at = &(*at)->next;
    source->next = NULL;
    *at = source;
    pthread_mutex_unlock(&registry->lock);
}

static void write_row(hri_figure_sheet *sheet, size_t row, const char *name, const uint64_t *values)
{
    snprintf(sheet->rows[row].name, sizeof sheet->rows[row].name, "%s", name);
    memcpy(sheet->rows[row].values, values, sheet->source.count * sizeof *values);
}

/* Where the sheet is full, the smallest row gives way to a larger one. */
static void keep(void *context, const char *name, const uint64_t *values)
{
    hri_figure_sheet *sheet = context;
    if (sheet->count < HRI_FIGURES_SHOWN) {
        write_row(sheet, sheet->count++, name, values);
        return;
    }
    size_t smallest = 0;
    for (size_t i = 1; i < sheet->count; i++)
        if (sheet->rows[i].values[0] < sheet->rows[smallest].values[0])
            smallest = i;
    sheet->left_out++;
    if (values[0] > sheet->rows[smallest].values[0])
        write_row(sheet, smallest, name, values);
}

/* Names need not be unique, and series have to be. */
static void tell_apart(hri_figure_sheet *sheet)
{
    for (size_t i = 1; i < sheet->count; i++) {
        char *name = sheet->rows[i].name;
        char first[HRI_FIGURES_NAME_BYTES];
        memcpy(first, name, sizeof first);
        unsigned number = 1;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(sheet->rows[k].name, name) != 0)
                continue;
            snprintf(name, HRI_FIGURES_NAME_BYTES, "%.*s#%u", HRI_FIGURES_NAME_BYTES - 12, first, ++number);
            k = (size_t)-1; /* the new name may be taken too: from the start again */
        }
    }
}

bool hri_figures_take(hri_figure_registry *registry, size_t index, hri_figure_sheet *ret_sheet)
{
    pthread_mutex_lock(&registry->lock);
    hri_figure_source *source = registry->first;
    for (; source && index > 0; index--)
        source = source->next;
    if (source) {
        ret_sheet->source = *source;
        ret_sheet->count = ret_sheet->left_out = 0;
        source->each(source->context, keep, ret_sheet);
        tell_apart(ret_sheet);
    }
    pthread_mutex_unlock(&registry->lock);
    return source != NULL;
}
