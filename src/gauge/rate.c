/* SPDX-License-Identifier: Apache-2.0 */
/* An exponentially weighted mean over unequal steps: a step of t weighs t ÷ (t + 1 s). */
#include "gauge/rate.h"

#include "base/checked.h"
#include "base/clock.h"

void hri_rate_sample(hri_rate *rate, uint64_t total_bytes, int64_t now_ns)
{
    int64_t step_ns = now_ns - rate->time_ns;
    if (rate->time_ns != 0 && step_ns < HRI_RATE_STEP_NS)
        return;
    if (rate->time_ns != 0) {
        double per_s = (double)hri_sub(total_bytes, rate->total_bytes) * (double)HRI_SECOND / (double)step_ns;
        double weight = (double)step_ns / (double)(step_ns + HRI_SECOND);
        double mean = (double)rate->bytes_per_s + (per_s - (double)rate->bytes_per_s) * weight;
        rate->bytes_per_s = mean > 0 ? (uint64_t)mean : 0;
    }
    rate->total_bytes = total_bytes;
    rate->time_ns = now_ns;
}
