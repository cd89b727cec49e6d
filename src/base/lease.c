/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lease.h"

#include "base/clock.h"

/* How long a fall of the resident set may wait for its uncharge: free() and then hr_budget_uncharge(), with a thread
 * that loses its processor in between. */
#define UNCHARGE_PATIENCE_NS (1 * HRI_SECOND)

bool hri_lease_spend(const hri_lease *lease, const hri_lease_word *word, uint64_t bytes)
{
    uint64_t now = atomic_load_explicit(word->granted, memory_order_relaxed);
    if (bytes > hri_lease_left(lease, now))
        return false;
    atomic_fetch_add_explicit(word->pending, bytes, memory_order_release);
    while (!atomic_compare_exchange_weak_explicit(word->granted, &now, now + bytes, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
        if (bytes > hri_lease_left(lease, now)) {
            atomic_fetch_sub_explicit(word->pending, bytes, memory_order_release);
            return false;
        }
    }
    return true;
}

void hri_lease_force(const hri_lease_word *word, uint64_t bytes)
{
    atomic_fetch_add_explicit(word->pending, bytes, memory_order_release);
    atomic_fetch_add_explicit(word->granted, bytes, memory_order_acq_rel);
}

#define SURPRISE_NS (1 * HRI_SECOND)

uint64_t hri_surprise_note(hri_surprise *surprise, uint64_t sample_bytes, uint64_t free_bytes, int64_t now_ns)
{
    bool known = surprise->expected.free_bytes != HR_NONE && free_bytes != HR_NONE && surprise->since_ns != 0;
    uint64_t now = known ? hri_sub(hri_lease_left(&surprise->expected, sample_bytes), free_bytes) : 0;
    if (now_ns - surprise->since_ns >= SURPRISE_NS) {
        bool recent = now_ns - surprise->since_ns < 2 * SURPRISE_NS;
        surprise->before_bytes = recent ? surprise->most_bytes : 0;
        surprise->most_bytes = 0;
        surprise->since_ns = now_ns;
    }
    surprise->most_bytes = hri_max(surprise->most_bytes, now);
    surprise->expected = (hri_lease){.sample_bytes = sample_bytes, .free_bytes = free_bytes};
    return hri_max(surprise->most_bytes, surprise->before_bytes);
}

static void lower(hri_own *own, uint64_t bytes)
{
    own->own_bytes = hri_sub(own->own_bytes, bytes);
    own->retained_bytes = hri_sub(own->retained_bytes, bytes);
}

static void begin_window(hri_own *own, int64_t now_ns)
{
    own->fell_since_ns = now_ns;
    own->fell_least = own->fell_bytes;
}

/* Notes by how much R fell beyond what was uncharged, and lowers `own` by what stayed unmatched for long enough. */
static void note_fall(hri_own *own, uint64_t fell_bytes, uint64_t uncharged_bytes, int64_t now_ns)
{
    own->fell_bytes = hri_sub(hri_add(own->fell_bytes, fell_bytes), uncharged_bytes);
    own->fell_least = hri_min(own->fell_least, own->fell_bytes);
    if (own->fell_least == 0) {
        begin_window(own, now_ns);
    } else if (now_ns - own->fell_since_ns >= UNCHARGE_PATIENCE_NS) {
        lower(own, own->fell_least);
        own->fell_bytes -= own->fell_least;
        begin_window(own, now_ns);
    }
}

uint64_t hri_own_sample(hri_own *own, const hri_own_input *input)
{
    uint64_t resident = input->resident_bytes, hand = input->hand_bytes;
    if (resident == HR_NONE)
        return hand;
    uint64_t uncharged = input->uncharged_bytes - own->uncharged_bytes, fell = hri_sub(own->resident_bytes, resident);
    if (input->purged) { /* whatever of `kept` left with it is in `fell` */
        fell = hri_sub(fell, own->retained_bytes);
        lower(own, own->retained_bytes);
    }
    if (own->known)
        note_fall(own, fell, uncharged, input->now_ns);
    uint64_t least = hri_sub(resident, hand);
    if (least > own->own_bytes && own->known)
        own->retained_bytes = hri_add(own->retained_bytes, hri_min(least - own->own_bytes, uncharged));
    own->own_bytes = hri_max(own->own_bytes, least);
    uint64_t over = hri_sub(own->own_bytes, resident); /* so much of a fall is certain at once */
    own->own_bytes -= over;
    own->fell_bytes = hri_sub(own->fell_bytes, over);
    own->fell_least = hri_min(own->fell_least, own->fell_bytes);
    own->retained_bytes = hri_min(own->retained_bytes, own->own_bytes);
    if (own->own_bytes == least) /* nothing is pending, so no fall is in doubt */
        own->fell_bytes = own->fell_least = 0;
    own->resident_bytes = resident;
    own->uncharged_bytes = input->uncharged_bytes;
    own->known = true;
    return hri_sub(hand, resident - own->own_bytes);
}
