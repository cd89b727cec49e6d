/* SPDX-License-Identifier: Apache-2.0 */
/* Which allocator serves malloc, and does a purge give pages back? Each that is installed is tried, by running this
 * program again with it preloaded. */
#include "support/cmocka.h"

#include "os/heap.h"

#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECT 1000
#define OBJECTS 50000

static uint64_t resident(void)
{
    hr_guard *guard;
    hr_figures figures;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    hr_guard_free(guard);
    return figures.rss_bytes;
}

/* Frees 63 of 64 objects, purges, and gives how much of what was free has left the resident set. */
static double returned_share(void)
{
    static void *objects[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(OBJECT);
        memset(objects[i], 1, OBJECT);
    }
    uint64_t full = resident();
    for (int i = 0; i < OBJECTS; i++)
        if (i % 64)
            free(objects[i]);
    hr_purge();
    uint64_t after = resident();
    for (int i = 0; i < OBJECTS; i += 64)
        free(objects[i]);
    return full > after ? (double)(full - after) / ((double)OBJECT * OBJECTS) : 0;
}

static void the_default_allocator_purges(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: the sanitizer is the allocator\n");
    skip();
#endif
    if (hri_heap_allocator() != HRI_ALLOCATOR_GLIBC) {
        print_message("skipped: malloc is not glibc's\n");
        skip();
    }
    assert_true(returned_share() > 0.7);
}

static const struct {
    const char *library;
    const char *name;
    double least_share; /* mi_collect gives nothing back where pages are partly used */
} peers[] = {
    {"libjemalloc.so.2", "jemalloc", 0.7},
    {"libmimalloc.so.2", "mimalloc", 0},
    {"libtcmalloc_minimal.so.4", "tcmalloc", 0},
};

static void every_installed_allocator_is_recognised_and_purges(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: the sanitizer is the allocator\n");
    skip();
#endif
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        char command[512];
        snprintf(command, sizeof command, "LD_PRELOAD=%s /proc/%d/exe --probe 2>&1", peers[i].library, (int)getpid());
        FILE *output = popen(command, "r");
        char name[64] = "";
        double share = 0;
        assert_non_null(output);
        int fields = fscanf(output, "%63s %lf", name, &share);
        pclose(output);
        if (fields != 2 || strcmp(name, "ERROR:") == 0) {
            print_message("not tried: %s is not installed\n", peers[i].library);
            continue;
        }
        assert_string_equal(name, peers[i].name);
        assert_true(share >= peers[i].least_share);
    }
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "--probe") == 0) {
        printf("%s %f\n", hri_allocator_text(hri_heap_allocator()), returned_share());
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_allocator_purges),
        cmocka_unit_test(every_installed_allocator_is_recognised_and_purges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
