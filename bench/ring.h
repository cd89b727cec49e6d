/* SPDX-License-Identifier: Apache-2.0 */
/* A ring from one thread to one other, for hand-offs: one side takes memory, the other gives it back.
 *
 * It must cost little beside what it hands over. So each side keeps a copy of the other's position and looks again
 * only when that runs out, and positions are published in groups. Once as much was taken as was put it is as new.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    RING_SLOTS = 1024,
    RING_GROUP = 64
};

typedef struct bench_ring {
    _Alignas(128) _Atomic uint64_t put;   /* published by the one who puts */
    uint64_t putting, taken_seen;         /* its own */
    _Alignas(128) _Atomic uint64_t taken; /* published by the one who takes */
    uint64_t taking, put_seen;            /* its own */
    _Alignas(128) void *slots[RING_SLOTS];
} bench_ring;

/* The other side may have lost its processor: after some looks ours is offered to it. */
static inline void bench_ring_pause(unsigned *looks)
{
    if (++*looks % 256 == 0)
        sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void bench_ring_flush(bench_ring *ring)
{
    atomic_store_explicit(&ring->put, ring->putting, memory_order_release);
}

static inline void bench_ring_put(bench_ring *ring, void *item)
{
    for (unsigned looks = 0; ring->putting - ring->taken_seen >= RING_SLOTS;) {
        ring->taken_seen = atomic_load_explicit(&ring->taken, memory_order_acquire);
        if (ring->putting - ring->taken_seen >= RING_SLOTS)
            bench_ring_pause(&looks);
    }
    ring->slots[ring->putting++ % RING_SLOTS] = item;
    if (ring->putting % RING_GROUP == 0)
        bench_ring_flush(ring);
}

static inline void *bench_ring_take(bench_ring *ring)
{
    for (unsigned looks = 0; ring->taking == ring->put_seen;) {
        ring->put_seen = atomic_load_explicit(&ring->put, memory_order_acquire);
        if (ring->taking == ring->put_seen)
            bench_ring_pause(&looks);
    }
    void *item = ring->slots[ring->taking++ % RING_SLOTS];
    if (ring->taking % RING_GROUP == 0)
        atomic_store_explicit(&ring->taken, ring->taking, memory_order_release);
    return item;
}

#endif
