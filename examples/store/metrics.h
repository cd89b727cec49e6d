/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the guard's figures and the store's own, as OpenMetrics text. */
#ifndef STORE_METRICS_H
#define STORE_METRICS_H

#include "answer.h"

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* What the store is serving. */
struct metrics_source {
    struct shelf *shelves;
    size_t shelf_count;
    unsigned requests_in_flight;
    uint64_t reads;
};

enum MHD_Result metrics_answer(struct MHD_Connection *connection, const struct metrics_source *source);

#endif
