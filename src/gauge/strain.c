/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/strain.h"

#include "base/checked.h"
#include "base/clock.h"

/* Below this share of the limit without page cache, the cache is large, and reading it again is a matter of files. */
#define TIGHT 0.80

/* How many times the cache was read back: in a second, and over the whole life of a group that is looked at once. */
#define TURNS_DEGRADED 1
#define TURNS_CRITICAL 4
#define TURNS_EVER 10000

/* Some cache there always is; a group without any would be in strain by its first page. */
#define CACHE_MIN (UINT64_C(4) << 20)

#define WINDOW_NS (1 * HRI_SECOND)

static hr_level by_stalls(const hri_stalls *stalls)
{
    if (!stalls->known || stalls->full.avg10 < HRI_STRAIN_DEGRADED_PER_CENT)
        return HR_NORMAL;
    return stalls->full.avg10 < HRI_STRAIN_CRITICAL_PER_CENT ? HR_DEGRADED : HR_CRITICAL;
}

static double turns(const hri_strain_input *input, uint64_t refault_bytes)
{
    return (double)refault_bytes / (double)hri_max(input->cache_bytes, CACHE_MIN);
}

/* Of one look: only where there is no PSI, which tells of now. */
static hr_level by_history(const hri_strain_input *input)
{
    bool tight = !input->stalls->known && input->use >= TIGHT && input->max_events > 0;
    return tight && turns(input, input->refault_bytes) >= TURNS_EVER ? HR_CRITICAL : HR_NORMAL;
}

static hr_level by_growth(const hri_strain *strain, const hri_strain_input *input)
{
    bool met = input->max_events > strain->max_events && input->use >= TIGHT;
    double per_s = turns(input, hri_sub(input->refault_bytes, strain->refault_bytes)) * (double)HRI_SECOND /
                   (double)(input->now_ns - strain->since_ns);
    if (!met || per_s < TURNS_DEGRADED)
        return HR_NORMAL;
    return per_s < TURNS_CRITICAL ? HR_DEGRADED : HR_CRITICAL;
}

static hr_level worse(hr_level a, hr_level b)
{
    return a > b ? a : b;
}

hr_level hri_strain_sample(hri_strain *strain, const hri_strain_input *input)
{
    hr_level stalled = by_stalls(input->stalls);
    if (input->max_events == HR_NONE)
        return stalled;
    if (input->once)
        return worse(stalled, by_history(input));
    if (strain->since_ns == 0 || input->now_ns - strain->since_ns >= WINDOW_NS) {
        strain->level = strain->since_ns ? by_growth(strain, input) : HR_NORMAL;
        strain->since_ns = input->now_ns;
        strain->max_events = input->max_events;
        strain->refault_bytes = input->refault_bytes;
    }
    return worse(stalled, strain->level);
}
