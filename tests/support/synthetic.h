/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic histories whose truth is known, from a seed: what a trend is proved on. */
#ifndef HRT_SUPPORT_SYNTHETIC_H
#define HRT_SUPPORT_SYNTHETIC_H

#include <headroom/report.h>

#define HRT_SYNTHETIC_LIMIT (UINT64_C(1) << 30)
#define HRT_SYNTHETIC_STEP_S 10
#define HRT_SYNTHETIC_RECORDS (6 * 3600 / HRT_SYNTHETIC_STEP_S) /* six hours */

/* The changes over the base, in shares of the limit and in hours. */
typedef enum hrt_shape {
    HRT_STEADY,
    HRT_WANDERING,      /* noise whose neighbours are alike, of 0.9 to 0.99 a step */
    HRT_SAWTOOTH,       /* teeth of 2 to 60 minutes */
    HRT_LONG_TEETH,     /* teeth of one to two and a half hours */
    HRT_FILLING,        /* a cache that fills evenly, and is full */
    HRT_SATURATING,     /* and one that fills ever more slowly */
    HRT_RESTARTS,       /* new processes, each with its warm-up */
    HRT_STEPS,          /* resizes, up and down */
    HRT_WAVE,           /* up and down within one to four hours */
    HRT_SHRINKING,      /* by 0.2 to 5 % an hour */
    HRT_LEAK,           /* by 1 % an hour, under noise */
    HRT_LEAK_WANDERING, /* under noise whose neighbours are alike */
    HRT_LEAK_TEETH,     /* under a sawtooth */
    HRT_LEAK_WARM,      /* after a warm-up of 10 to 40 minutes */
    HRT_LEAK_RESTARTED, /* in a process that was restarted within the first hour */
    HRT_SHAPES
} hrt_shape;

#define HRT_SHAPE_FIRST_LEAK HRT_LEAK

const char *hrt_shape_text(hrt_shape shape);

/* Fills HRT_SYNTHETIC_RECORDS records. */
void hrt_synthetic(hrt_shape shape, uint64_t seed, hr_record *records);

/* Noise around a straight line of `slope` bytes a second: even, normal, or with the peaks of a sawtooth, by `noise`. */
typedef enum hrt_noise {
    HRT_NOISE_NORMAL,
    HRT_NOISE_EVEN,
    HRT_NOISE_TEETH,
    HRT_NOISES
} hrt_noise;

typedef struct hrt_line {
    uint64_t seed;
    size_t count;
    double start_bytes;
    double slope_bytes_per_s;
    double noise_bytes;
    hrt_noise noise;
} hrt_line;

void hrt_synthetic_line(const hrt_line *line, hr_record *records);

/* A number from 0 to 1 that a seed and an index have in common. */
double hrt_uniform(uint64_t *state);

#endif
