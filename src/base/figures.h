/* SPDX-License-Identifier: Apache-2.0 */
/* The registry by which rooms publish their figures, so that a report shows things of which it knows nothing.
 *
 * A room that has several things of a kind (budgets, pools, caches) describes their figures once, as a source, and adds
 * that to its guard's registry. Every report then has them, in every format:
 *
 *     static const hri_figure figures[] = {{"out_bytes", NULL, HRI_BYTES, "taken and not put back"}, …};
 *     pools->source = (hri_figure_source){.noun = "pool", .figures = figures, .count = …, .each = each_pool};
 *     hri_figures_add(registry, &pools->source);
 *
 * The node belongs to the room, and stays for as long as the guard.
 */
#ifndef HRI_BASE_FIGURES_H
#define HRI_BASE_FIGURES_H

#include "base/fork.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hri_figure_kind {
    HRI_BYTES,
    HRI_COUNT,         /* may go down */
    HRI_COUNTER,       /* only grows */
    HRI_COUNTER_BYTES, /* only grows, in bytes */
    HRI_NANOSECONDS,
} hri_figure_kind;

typedef struct hri_figure {
    const char *name;   /* in JSON, CSV and text */
    const char *metric; /* in OpenMetrics: without _total, with the base unit at its end; NULL: the name */
    hri_figure_kind kind;
    const char *text; /* 46 characters at most: lines fit a terminal */
} hri_figure;

#define HRI_FIGURES_MAX 12

/* Called for one thing of a source: its name, and its figures in their order; HR_NONE where one is absent. */
typedef void hri_figures_visit(void *context, const char *name, const uint64_t *values);

typedef struct hri_figure_source hri_figure_source;

struct hri_figure_source {
    const char *noun; /* "budget": the label in OpenMetrics, and with an s the list in JSON */
    const hri_figure *figures;
    size_t count; /* of figures, HRI_FIGURES_MAX at most */
    /* Visits all things, with no lock held that a report could need; allocates nothing. */
    void (*each)(void *context, hri_figures_visit *visit, void *visitor);
    void *context;
    hri_figure_source *next; /* the registry's */
};

typedef struct hri_figure_registry {
    pthread_mutex_t lock; /* over the list, also while a source is visited */
    hri_figure_source *first;
} hri_figure_registry;

int hri_figures_init(hri_figure_registry *registry);
void hri_figures_destroy(hri_figure_registry *registry);
void hri_figures_fork(hri_figure_registry *registry, hri_fork moment);

/* Adds a source behind the others. */
void hri_figures_add(hri_figure_registry *registry, hri_figure_source *source);

/* A source at one instant: those of its things that have most of the first figure. */
#define HRI_FIGURES_SHOWN 48
#define HRI_FIGURES_NAME_BYTES 96

typedef struct hri_figure_sheet {
    hri_figure_source source; /* a copy */
    size_t count;             /* of rows */
    size_t left_out;          /* for which there was no room */
    struct {
        char name[HRI_FIGURES_NAME_BYTES]; /* unique in the sheet: of others alike "#2" is added */
        uint64_t values[HRI_FIGURES_MAX];
    } rows[HRI_FIGURES_SHOWN];
} hri_figure_sheet;

/* Fills a sheet from the `index`th source; gives false where there is none. */
bool hri_figures_take(hri_figure_registry *registry, size_t index, hri_figure_sheet *ret_sheet);

#endif
