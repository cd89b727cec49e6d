/* SPDX-License-Identifier: Apache-2.0 */
/* A library is closed with dlclose() while threads have used it. The kernel and libc still know of it: the
 * address of a thread's last sequence, destructors, fork handlers. These must stay valid. */
#include "support/cmocka.h"

#include <dlfcn.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    int (*guard_new)(const hr_guard_options *, hr_guard **);
    void (*guard_free)(hr_guard *);
    hr_budget *(*root)(hr_guard *);
    int (*charge)(hr_budget *, uint64_t);
    void (*uncharge)(hr_budget *, uint64_t);
} api;

static hr_guard *guard;
static pthread_barrier_t used, closed;

static void *use_and_stay(void *context)
{
    (void)context;
    for (int i = 0; i < 1000; i++)
        if (api.charge(api.root(guard), 100) == 0)
            api.uncharge(api.root(guard), 100);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    for (int i = 0; i < 100; i++)
        usleep(100); /* each time the kernel looks at the thread's last sequence */
    return NULL;
}

static void *symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);
    if (!address)
        fail_msg("%s: %s", name, dlerror());
    return address;
}

static void threads_outlive_the_library(void **state)
{
    (void)state;
    char path[1024];
    const char *build = getenv("HEADROOM_BUILD_DIR");
    snprintf(path, sizeof path, "%s/src/libheadroom.so", build ? build : ".");
    void *library = build ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        print_message("skipped: the library cannot be loaded (%s)\n",
                      build ? dlerror() : "HEADROOM_BUILD_DIR is not set");
        skip();
    }
    api.guard_new = symbol(library, "hr_guard_new");
    api.guard_free = symbol(library, "hr_guard_free");
    api.root = symbol(library, "hr_guard_root");
    api.charge = symbol(library, "hr_budget_charge");
    api.uncharge = symbol(library, "hr_budget_uncharge");
    assert_int_equal(api.guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    pthread_t threads[4];
    pthread_barrier_init(&used, NULL, 5);
    pthread_barrier_init(&closed, NULL, 5);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_and_stay, NULL), 0);
    pthread_barrier_wait(&used);
    api.guard_free(guard);
    assert_int_equal(dlclose(library), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pthread_barrier_wait(&closed);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_outlive_the_library)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
