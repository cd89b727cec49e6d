/* SPDX-License-Identifier: Apache-2.0 */
/* A reclaimer: memory that the program can spare, and gives back when it is asked.
 *
 * The program keeps thumbnails that it could draw again. It keeps them for as long as there is room, and has no size of
 * its own for them: it registers a function that drops the oldest ones. headroom calls that function when a charge
 * does not fit, and when use passes degrade_at. Without it the memory would be counted and nobody could give it back,
 * so the next upload would be refused while old thumbnails fill the limit. */
#include <headroom/headroom.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    THUMBNAIL_BYTES = 64 << 10,
    THUMBNAILS = 1024
};

struct thumbnails {
    pthread_mutex_t lock; /* the reclaimer runs on any thread */
    void *drawn[THUMBNAILS];
    size_t first, next; /* those between are there, the oldest first */
};

static uint64_t drop_oldest(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    struct thumbnails *kept = context;
    uint64_t freed = 0;
    (void)deadline_ns; /* a few frees are over long before */
    pthread_mutex_lock(&kept->lock);
    for (; freed < want_bytes && kept->first < kept->next; kept->first++) {
        hr_free(kept->drawn[kept->first]);
        freed += hr_alloc_cost(THUMBNAIL_BYTES);
    }
    pthread_mutex_unlock(&kept->lock);
    return freed; /* want_bytes 0 is the janitor, which wants only what has expired: nothing here does */
}

static bool draw(struct thumbnails *kept, hr_budget *budget)
{
    void *image = hr_alloc(budget, THUMBNAIL_BYTES); /* may call drop_oldest(): so not under the lock */
    if (!image)
        return false;
    memset(image, 'x', THUMBNAIL_BYTES);
    pthread_mutex_lock(&kept->lock);
    kept->drawn[kept->next++] = image;
    pthread_mutex_unlock(&kept->lock);
    return true;
}

int main(void)
{
    static struct thumbnails kept = {.lock = PTHREAD_MUTEX_INITIALIZER};
    hr_guard *guard;
    int error = hr_guard_new(NULL, &guard); /* the limit is the kernel's, or HEADROOM_LIMIT */
    if (error) {
        fprintf(stderr, "reclaimer: %s\n", strerror(-error));
        return 1;
    }
    hr_reclaimer node = {.name = "thumbnails", .reclaim = drop_oldest, .context = &kept};
    if (hr_reclaimer_add(guard, &node) != 0)
        return 1;
    unsigned refused = 0;
    for (unsigned i = 0; i < THUMBNAILS; i++)
        refused += !draw(&kept, hr_guard_root(guard));
    hr_figures figures;
    hr_guard_read(guard, &figures);
    printf("%d drawn, %zu of them still kept, %u refused; level %s\n", THUMBNAILS, kept.next - kept.first, refused,
           hr_level_text(figures.level));
    hr_reclaimer_remove(guard, &node);
    drop_oldest(&kept, UINT64_MAX, 0);
    hr_guard_free(guard);
    return refused > 0;
}
