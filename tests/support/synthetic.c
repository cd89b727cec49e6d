/* SPDX-License-Identifier: Apache-2.0 */
#include "support/synthetic.h"

#include <string.h>

/* splitmix64: any seed is a good one. */
double hrt_uniform(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double between(uint64_t *state, double low, double high)
{
    return low + (high - low) * hrt_uniform(state);
}

/* The sum of twelve even ones: near enough to a normal one, and without libm. */
static double normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += hrt_uniform(state);
    return sum;
}

static double whole_part(double x)
{
    return (double)(long long)x;
}

/* From 0 to 1, and back to 0 at once. */
static double tooth(double hours, double period, double phase)
{
    double x = hours / period + phase;
    return x - whole_part(x);
}

/* e to the -x. */
static double decay(double x)
{
    double y = 1 - x / 1024;
    if (y <= 0)
        return 0;
    for (int i = 0; i < 10; i++)
        y *= y;
    return y;
}

/* Near enough to (1 + sin) / 2, with its flat tops: a smooth step up and down. */
static double wave(double hours, double period, double phase)
{
    double x = tooth(hours, period, phase) * 2;
    x = x > 1 ? 2 - x : x;
    return x * x * (3 - 2 * x);
}

const char *hrt_shape_text(hrt_shape shape)
{
    static const char *const texts[HRT_SHAPES] = {
        "steady, with noise",
        "wandering: noise whose neighbours are alike",
        "sawtooth of 2 to 60 minutes",
        "sawtooth of 1 to 2.5 hours",
        "a cache that fills evenly and is full",
        "a cache that fills ever more slowly",
        "restarts, each with its warm-up",
        "resizes, up and down",
        "waves of 1 to 4 hours",
        "shrinking",
        "leak under noise",
        "leak under wandering noise",
        "leak under a sawtooth",
        "leak after a warm-up",
        "leak after a restart",
    };
    return texts[shape];
}

/* The parts of a shape, in shares of the limit. */
struct plan {
    double base, noise, alike, leak;
    double amplitude, period, phase; /* of teeth and waves */
    double fill, full_after;         /* of a cache: its size, its hours */
    double changes[3], heights[3];   /* of steps and restarts: hours, new heights */
    int change_count;
};

static void plan_changes(struct plan *plan, uint64_t *state, int most, double latest)
{
    plan->change_count = 1 + (int)(hrt_uniform(state) * most);
    for (int i = 0; i < plan->change_count; i++) {
        plan->changes[i] = latest * (i + between(state, 0.2, 0.8)) / plan->change_count;
        plan->heights[i] = between(state, -0.15, 0.3);
    }
}

static struct plan make_plan(hrt_shape shape, uint64_t *state)
{
    struct plan plan = {.base = between(state, 0.2, 0.5), .noise = between(state, 0.001, 0.02)};
    bool leaks = shape >= HRT_SHAPE_FIRST_LEAK;
    plan.leak = leaks ? 0.01 : 0;
    plan.phase = hrt_uniform(state);
    if (leaks)
        plan.noise = between(state, 0.001, 0.01);
    if (shape == HRT_WANDERING || shape == HRT_LEAK_WANDERING)
        plan.alike = shape == HRT_WANDERING ? between(state, 0.9, 0.99) : between(state, 0.8, 0.95);
    if (shape == HRT_SAWTOOTH || shape == HRT_LEAK_TEETH)
        plan.period = between(state, 2.0 / 60, leaks ? 0.5 : 1);
    if (shape == HRT_LONG_TEETH)
        plan.period = between(state, 1, 2.5);
    if (shape == HRT_WAVE)
        plan.period = between(state, 1, 4);
    if (plan.period > 0)
        plan.amplitude = between(state, 0.05, leaks ? 0.25 : 0.4);
    if (shape == HRT_FILLING || shape == HRT_SATURATING || shape == HRT_RESTARTS) {
        plan.fill = between(state, 0.1, 0.4);
        plan.full_after = shape == HRT_FILLING ? between(state, 0.3, 4) : between(state, 0.1, 1);
    }
    if (shape == HRT_LEAK_WARM) {
        plan.fill = between(state, 0.05, 0.3);
        plan.full_after = between(state, 1.0 / 6, 4.0 / 6);
    }
    if (shape == HRT_STEPS || shape == HRT_RESTARTS)
        plan_changes(&plan, state, 3, 6);
    if (shape == HRT_LEAK_RESTARTED)
        plan_changes(&plan, state, 1, 1);
    if (shape == HRT_SHRINKING)
        plan.leak = -between(state, 0.002, 0.05);
    return plan;
}

/* The share of the limit at an hour, without noise. `start` is when the process began. */
static double height(hrt_shape shape, const struct plan *plan, double hours, double *ret_start)
{
    double start = 0, share = plan->base;
    for (int i = 0; i < plan->change_count && hours >= plan->changes[i]; i++) {
        if (shape == HRT_STEPS)
            share = plan->base + plan->heights[i];
        else
            start = plan->changes[i];
    }
    double age = hours - start;
    share += plan->leak * age;
    if (plan->period > 0)
        share += plan->amplitude *
                 (shape == HRT_WAVE ? wave(hours, plan->period, plan->phase) : tooth(hours, plan->period, plan->phase));
    if (plan->fill > 0 && shape == HRT_SATURATING)
        share += plan->fill * (1 - decay(age / plan->full_after));
    else if (plan->fill > 0)
        share += plan->fill * (age < plan->full_after ? age / plan->full_after : 1);
    *ret_start = start;
    return share;
}

static uint64_t to_bytes(double bytes)
{
    return bytes > 0 ? (uint64_t)bytes : 0;
}

void hrt_synthetic(hrt_shape shape, uint64_t seed, hr_record *records)
{
    uint64_t state = seed * 1000003 + (uint64_t)shape;
    struct plan plan = make_plan(shape, &state);
    double rest = 1 - plan.alike * plan.alike, fresh = 1;
    for (int i = 0; i < 40; i++) /* its root: the deviation is the same, however alike neighbours are */
        fresh = (fresh + rest / fresh) / 2;
    double noise = normal(&state) * plan.noise;
    for (size_t i = 0; i < HRT_SYNTHETIC_RECORDS; i++) {
        double hours = (double)(i * HRT_SYNTHETIC_STEP_S) / 3600, start;
        double share = height(shape, &plan, hours, &start);
        noise = plan.alike > 0 ? plan.alike * noise + fresh * plan.noise * normal(&state) : plan.noise * normal(&state);
        records[i] = (hr_record){
            .time_ns = (int64_t)(i * HRT_SYNTHETIC_STEP_S) * 1000000000,
            .live_bytes = to_bytes((share + noise) * (double)HRT_SYNTHETIC_LIMIT),
            .total_bytes = to_bytes((hours - start + 1) * (double)HRT_SYNTHETIC_LIMIT),
        };
    }
}

void hrt_synthetic_line(const hrt_line *line, hr_record *records)
{
    uint64_t state = line->seed;
    double period = between(&state, 5, 40), phase = hrt_uniform(&state);
    for (size_t i = 0; i < line->count; i++) {
        double noise = line->noise == HRT_NOISE_NORMAL ? normal(&state)
                       : line->noise == HRT_NOISE_EVEN ? between(&state, -1.7, 1.7)
                                                       : 3 * tooth((double)i, period, phase) + normal(&state) / 4;
        double time_s = (double)(i * HRT_SYNTHETIC_STEP_S);
        records[i] = (hr_record){
            .time_ns = (int64_t)(time_s * 1e9),
            .live_bytes = to_bytes(line->start_bytes + line->slope_bytes_per_s * time_s + noise * line->noise_bytes),
        };
    }
}
