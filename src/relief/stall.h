/* SPDX-License-Identifier: Apache-2.0 */
/* When relief achieves nothing: pure, by numbers and time alone.
 *
 * A guard whose memory is held by something that never gives it back would refuse for ever, also once there is room
 * that nobody tries. So it notices, says so, and lets a small request through from time to time.
 */
#ifndef HRI_RELIEF_STALL_H
#define HRI_RELIEF_STALL_H

#include <headroom/base.h>

typedef struct hri_stall {
    int64_t since_ns;     /* of the last progress, or of the beginning; 0: the level is below degraded */
    uint64_t freed_bytes; /* as they were then */
    uint64_t use_bytes;
    int64_t next_probe_ns;
} hri_stall;

/* The figures of one moment. */
typedef struct hri_stall_input {
    hr_level level;
    uint64_t freed_bytes; /* by relief so far, in all */
    uint64_t use_bytes;
    int64_t now_ns;
} hri_stall_input;

/* Progress is a level below degraded, or a 64th of the use that relief freed, or by which use fell. */
void hri_stall_sample(hri_stall *stall, const hri_stall_input *input);

/* For how long nothing was achieved, once that is `patience_ns`; before it 0. */
int64_t hri_stall_age(const hri_stall *stall, int64_t now_ns, int64_t patience_ns);

/* May one small request pass now? At most one every `interval_ns`. */
bool hri_stall_probe(hri_stall *stall, int64_t now_ns, int64_t interval_ns);

#endif
