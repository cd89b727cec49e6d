/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "run/files.h"
#include "run/tree.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 20

/* A tree of 1,000 processes cost 3 % of a processor far from its limit. */
static void a_large_tree_is_added_up_seldom(void **state)
{
    (void)state;
    static run_tree tree; /* large */
    int children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            pause();
            _exit(0);
        }
        assert_true(children[i] > 0);
    }
    run_tree_open(&tree, getpid(), true);
    assert_true(run_tree_refresh(&tree, run_now_ns(), 1000));
    assert_int_equal(tree.count, CHILDREN + 1);
    assert_true(tree.anonymous_bytes > 0 && tree.kernel_bytes > CHILDREN * UINT64_C(45056));
    int64_t again_ns = tree.summed_ns + tree.summing_ns * 1000;
    assert_false(run_tree_refresh(&tree, again_ns - 1, 1000));
    assert_true(run_tree_refresh(&tree, again_ns - 1, 20));
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    again_ns = run_now_ns() + tree.summing_ns * 1000;
    assert_true(run_tree_refresh(&tree, again_ns, 1000));
    assert_int_equal(tree.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_tree_is_added_up_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
