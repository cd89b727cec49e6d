/* SPDX-License-Identifier: Apache-2.0 */
#include "report/fit.h"

#include <math.h>

#define PAIRS (HRI_BINS * (HRI_BINS - 1) / 2)

#define NORMAL_95 1.959964  /* two-sided */
#define NORMAL_999 3.090232 /* one-sided */
#define ORDERED_BINS                                                                                                   \
    12 /* this many points that all rise are certain, however alike neighbours are: 1 in 2,000 by halves */
#define CORRELATED_BINS 5 /* fewer tell nothing of whether neighbours are alike */
#define MAD_TO_DEVIATION 1.4826

/* A break needs this many times less of what is left over, by the F of two lines against one. The largest of some fifty
 * such F's is above 6 once in a hundred times (Andrews, Econometrica 61, 1993); three times that is never chance. */
#define BREAK_F 18.0
#define BREAK_BINS 3 /* the fewest on either side */

/* And what one line leaves over has to be worth it: this share of the range of the points. Where there is no noise, F
 * finds the least change of a rate, of which a history need not begin anew. */
#define BREAK_SHARE 0.03

/* Up to this many steps are looked for. Where points rise about along a line, levels are believed from this F on. Of
 * 10,000 leaks under noise, teeth and wandering noise 0.1 % pass it; of 51 staircases taken for a line 41 pass it. */
#define STEPS_MAX 3
#define STEPS_F 5.0

static double root(double x)
{
    if (!(x > 0))
        return 0;
    double guess = x < 1 ? 1 : x;
    for (int i = 0; i < 1100; i++) {
        double next = (guess + x / guess) / 2;
        if (next >= guess)
            break;
        guess = next;
    }
    return guess;
}

/* The `rank`th smallest, from 0, by Hoare's selection, equal values in one go. Reorders the values. */
static double pick(double *values, unsigned count, unsigned rank)
{
    unsigned left = 0, right = count; /* one behind the last */
    while (right - left > 1) {
        double middle = values[left + (right - left) / 2];
        unsigned less = left, more = right, at = left; /* below less: smaller; from more on: larger */
        while (at < more) {
            double value = values[at];
            if (value < middle) {
                values[at++] = values[less];
                values[less++] = value;
            } else if (value > middle) {
                values[at] = values[--more];
                values[more] = value;
            } else {
                at++;
            }
        }
        if (rank < less)
            right = less;
        else if (rank >= more)
            left = more;
        else
            break;
    }
    return values[rank];
}

static double median(double *values, unsigned count)
{
    double upper = pick(values, count, count / 2);
    return count % 2 ? upper : (upper + pick(values, count, count / 2 - 1)) / 2;
}

/* ── one line ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* How much wider an interval is for neighbours that are alike. */
static double inflation(const hri_part *part)
{
    double r = hri_fit_correlation(part);
    if (r <= hri_fit_correlation_limit(part->count))
        return 1;
    r = r > 0.95 ? 0.95 : r;
    return (1 + r) / (1 - r);
}

/* Have that many points, with `count` slopes, an interval of 95 %? Where few slopes reach that far, the range of them
 * all holds the true one less often: of four points in 92 of 100 cases, of three in 67. The 1 is the
 * correction for a normal distribution in the place of S, which is a whole number. */
static bool has_interval(unsigned count, double deviation)
{
    return NORMAL_95 * deviation + 1 <= count;
}

/* The slope that is `reach` of S below (or above) the median, by its rank; at most the range of them all. */
static double bound(double *slopes, unsigned count, double reach, bool upper)
{
    double rank = upper ? (count + reach) / 2 : (count - reach) / 2 - 1;
    if (rank < 0)
        rank = 0;
    if (rank > count - 1)
        rank = count - 1;
    unsigned whole = (unsigned)rank;
    double below = pick(slopes, count, whole);
    return whole + 1 < count ? below + (rank - whole) * (pick(slopes, count, whole + 1) - below) : below;
}

bool hri_fit_line(const hri_part *part, hri_fit *ret_fit)
{
    double slopes[PAIRS] = {0}, distances[HRI_BINS] = {0};
    unsigned count = 0, n = part->count;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i + 1; j < n; j++) {
            double time_s = part->bins[j].low_s - part->bins[i].low_s;
            if (time_s > 0)
                slopes[count++] = (part->bins[j].low - part->bins[i].low) / time_s;
        }
    }
    if (count == 0)
        return false;
    double variance = n * (n - 1.0) * (2.0 * n + 5) / 18, deviation = root(variance * inflation(part));
    hri_fit fit = {.slope = median(slopes, count), .slope_low = -INFINITY, .slope_high = INFINITY};
    if (has_interval(count, root(variance))) {
        double sure = NORMAL_999 * deviation;
        fit.slope_low = bound(slopes, count, NORMAL_95 * deviation, false);
        fit.slope_high = bound(slopes, count, NORMAL_95 * deviation, true);
        fit.sure = (count - sure) / 2 >= 1 && bound(slopes, count, sure, false) > 0;
    }
    fit.sure |= n >= ORDERED_BINS && pick(slopes, count, 0) > 0;
    double height = hri_fit_height(part, fit.slope, false);
    for (unsigned i = 0; i < n; i++) {
        double distance = part->bins[i].low - fit.slope * part->bins[i].low_s - height;
        distances[i] = distance < 0 ? -distance : distance;
    }
    fit.spread = median(distances, n) * MAD_TO_DEVIATION;
    *ret_fit = fit;
    return true;
}

double hri_fit_height(const hri_part *part, double slope, bool highest)
{
    double heights[HRI_BINS] = {0};
    for (unsigned i = 0; i < part->count; i++) {
        const hri_bin *bin = &part->bins[i];
        heights[i] = highest ? bin->high - slope * bin->high_s : bin->low - slope * bin->low_s;
    }
    return median(heights, part->count);
}

double hri_fit_crest(const hri_part *part, double slope)
{
    double crest = part->bins[0].high - slope * part->bins[0].high_s;
    for (unsigned i = 1; i < part->count; i++) {
        double height = part->bins[i].high - slope * part->bins[i].high_s;
        crest = height > crest ? height : crest;
    }
    return crest;
}

/* ── least squares, where speed counts ──────────────────────────────────────────────────────────────────────────── */

/* Sums over points; times and heights are taken from the first one, so that large ones lose no digits. */
struct sums {
    double n, t, y, tt, ty, yy;
};

static void add(struct sums *sums, const hri_part *part, unsigned index)
{
    double t = part->bins[index].low_s - part->bins[0].low_s, y = part->bins[index].low - part->bins[0].low;
    sums->n++;
    sums->t += t;
    sums->y += y;
    sums->tt += t * t;
    sums->ty += t * y;
    sums->yy += y * y;
}

static struct sums less(const struct sums *all, const struct sums *part)
{
    return (struct sums){all->n - part->n,   all->t - part->t,   all->y - part->y,
                         all->tt - part->tt, all->ty - part->ty, all->yy - part->yy};
}

static double slope_of(const struct sums *sums)
{
    double tt = sums->tt - sums->t * sums->t / sums->n;
    return tt > 0 ? (sums->ty - sums->t * sums->y / sums->n) / tt : 0;
}

/* The squares that a line leaves over. */
static double left_over(const struct sums *sums)
{
    double ty = sums->ty - sums->t * sums->y / sums->n;
    double squares = sums->yy - sums->y * sums->y / sums->n - slope_of(sums) * ty;
    return squares > 0 ? squares : 0;
}

static struct sums sum_up(const hri_part *part)
{
    struct sums sums = {0};
    for (unsigned i = 0; i < part->count; i++)
        add(&sums, part, i);
    return sums;
}

double hri_fit_correlation(const hri_part *part)
{
    if (part->count < CORRELATED_BINS)
        return 0;
    struct sums sums = sum_up(part);
    double slope = slope_of(&sums), height = (sums.y - slope * sums.t) / sums.n;
    double before = 0, products = 0, squares = 0;
    for (unsigned i = 0; i < part->count; i++) {
        double distance =
            part->bins[i].low - part->bins[0].low - slope * (part->bins[i].low_s - part->bins[0].low_s) - height;
        products += before * distance;
        squares += distance * distance;
        before = distance;
    }
    double noise = 1e-12 * (part->highest - part->lowest);
    return squares > noise * noise * sums.n ? products / squares : 0;
}

double hri_fit_scatter(const hri_part *part)
{
    struct sums sums = sum_up(part);
    return sums.n > 2 ? root(left_over(&sums) / (sums.n - 2)) : 0;
}

double hri_fit_correlation_limit(unsigned count)
{
    return 1.645 / root(count);
}

/* Of the low points. */
static double range_of(const hri_part *part)
{
    double low = part->bins[0].low, high = low;
    for (unsigned i = 1; i < part->count; i++) {
        low = part->bins[i].low < low ? part->bins[i].low : low;
        high = part->bins[i].low > high ? part->bins[i].low : high;
    }
    return high - low;
}

unsigned hri_fit_break(const hri_part *part)
{
    if (part->count < 4 * BREAK_BINS)
        return 0;
    struct sums all = sum_up(part), early = {0};
    double one = left_over(&all), range = range_of(part);
    if (one <= BREAK_SHARE * BREAK_SHARE * range * range * all.n)
        return 0;
    unsigned at = 0;
    double best = one;
    for (unsigned i = 0; i + BREAK_BINS < part->count; i++) {
        add(&early, part, i);
        struct sums late = less(&all, &early);
        double two = left_over(&early) + left_over(&late);
        if (i + 1 >= BREAK_BINS && two < best) {
            best = two;
            at = i + 1;
        }
    }
    double floor = 1e-9 * range * range * all.n;
    best = best > floor ? best : floor;
    double f = (one - best) / 2 / (best / (all.n - 4));
    return f > BREAK_F ? at : 0;
}

/* ── a staircase ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The squares that a level leaves over for the points from `from` on and before `to`: by the sums over those before
 * each. */
static double level_leaves(const struct sums *before, unsigned from, unsigned to)
{
    struct sums level = less(&before[to], &before[from]);
    double squares = level.yy - level.y * level.y / level.n;
    return squares > 0 ? squares : 0;
}

/* From the squares that the best staircase leaves over for the first points of any number, those of one with a step
 * more. The last level has BREAK_BINS points at least; there are none of less. */
static void add_step(const struct sums *before, unsigned count, double least[HRI_BINS + 1])
{
    for (unsigned to = count; to > 0; to--) { /* from behind: it needs those of less points as they are */
        double best = -1;
        for (unsigned from = BREAK_BINS; from + BREAK_BINS <= to; from++) {
            double squares = least[from] + level_leaves(before, from, to);
            if (least[from] >= 0 && (best < 0 || squares < best))
                best = squares;
        }
        least[to] = best;
    }
}

bool hri_fit_is_staircase(const hri_part *part)
{
    struct sums before[HRI_BINS + 1] = {{0}};
    double least[HRI_BINS + 1], range = range_of(part);
    unsigned n = part->count;
    for (unsigned i = 0; i < n; i++) {
        before[i + 1] = before[i];
        add(&before[i + 1], part, i);
    }
    for (unsigned to = 0; to <= n; to++)
        least[to] = to >= BREAK_BINS ? level_leaves(before, 0, to) : -1;
    double line = left_over(&before[n]), floor = 1e-9 * range * range * n;
    for (unsigned steps = 1; steps <= STEPS_MAX && n > 4 * steps; steps++) {
        unsigned more = 2 * steps - 1, rest = n - 2 * steps - 1; /* a level and a place for each step, and one level */
        add_step(before, n, least);
        double stairs = least[n] > floor ? least[n] : floor;
        if (least[n] >= 0 && (line - stairs) / more > STEPS_F * stairs / rest)
            return true;
    }
    return false;
}
