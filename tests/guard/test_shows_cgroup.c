/* SPDX-License-Identifier: Apache-2.0 */
/* Real causes of kills, in real cgroups: limits that are lowered under load, page cache that nobody gets written, names
 * of files, and files in memory. Each time nobody is killed, and the sentence that explains names the ledger that is
 * short. */
#include "support/caged.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define LIMIT (64 * MIB)
#define VALUE (32 * 1024)
#define PATIENCE_MS 20000

/* The words that the processes of a test tell each other. */
static struct {
    atomic_int step;
    char group[HRT_CGROUP_PATH]; /* the group's own name, as it stands in the sentence */
} * stage;

static int set_up(void **state)
{
    hrt_caged_set_up(state);
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return stage == MAP_FAILED;
}

static int reset(void **state)
{
    (void)state;
    memset(stage, 0, sizeof *stage);
    return 0;
}

#define EVENTUALLY(condition)                                                                                          \
    ({                                                                                                                 \
        int left_ms = PATIENCE_MS;                                                                                     \
        while (!(condition) && left_ms-- > 0)                                                                          \
            usleep(1000);                                                                                              \
        left_ms > 0;                                                                                                   \
    })

static bool await(int step)
{
    return EVENTUALLY(atomic_load(&stage->step) >= step);
}

static void new_group(const char *name, hrt_cgroup *group)
{
    assert_int_equal(hrt_cgroup_new(name, LIMIT, group), 0);
    snprintf(stage->group, sizeof stage->group, "%s", strrchr(group->path, '/') + 1);
}

static void assert_well(pid_t child, hrt_cgroup *group)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(hrt_cgroup_oom_kills(group), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    hrt_cgroup_free(group);
}

/* Does the sentence that explains the level name this? Else it is printed. */
static bool explains(hr_guard *guard, const char *words)
{
    char sentence[HR_EXPLANATION_BYTES];
    if (hr_report_explain(guard, NULL, sentence, sizeof sentence) > 0 && strstr(sentence, words))
        return true;
    print_error("not '%s': %s\n", words, sentence);
    return false;
}

static hr_figures read_figures(hr_guard *guard)
{
    hr_figures figures = {0};
    hr_guard_read(guard, &figures);
    return figures;
}

/* Blocks that are touched, until one is refused; gives their bytes. They stay. */
static uint64_t fill(hr_guard *guard)
{
    uint64_t bytes = 0;
    for (void *block; (block = hr_alloc(hr_guard_root(guard), 100000)) != NULL; bytes += 100000)
        memset(block, 1, 100000);
    return bytes;
}

/* ── limits that are lowered under load ─────────────────────────────────────────────────────────────────────────── */

static atomic_bool over;

/* A thread that goes on putting new values into a cache. */
static void *put_values(void *context)
{
    static _Atomic uint64_t next;
    char value[VALUE];
    memset(value, 1, sizeof value);
    while (!atomic_load(&over)) {
        uint64_t key = atomic_fetch_add(&next, 1);
        int error = hr_cache_put(context, &key, sizeof key, value, sizeof value, 0);
        if (error || key % 16 == 0)
            usleep(1000);
    }
    return NULL;
}

static atomic_int worst; /* level that was told */

static void note_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)from, (void)figures;
    if ((int)to > atomic_load(&worst))
        atomic_store(&worst, (int)to);
}

/* A server under load whose cache has filled its limit; `play` is what happens then. */
static int serve(bool (*play)(hr_guard *guard))
{
    hr_guard *guard;
    hr_cache *cache;
    pthread_t threads[2];
    hr_guard_options options = {.interval_ns = 20000000, .dwell_ns = 100000000, .on_level = note_level};
    HRT_CAGED_CHECK(hr_guard_new(&options, &guard) == 0);
    HRT_CAGED_CHECK(hr_cache_new(guard, &(hr_cache_options){.name = "values"}, &cache) == 0);
    for (int i = 0; i < 2; i++)
        HRT_CAGED_CHECK(pthread_create(&threads[i], NULL, put_values, cache) == 0);
    HRT_CAGED_CHECK(EVENTUALLY(read_figures(guard).live_bytes > LIMIT * 6 / 10));
    bool well = play(guard);
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    HRT_CAGED_CHECK(well);
    HRT_CAGED_CHECK(hr_cache_free(cache) == 0);
    hr_guard_free(guard);
    return 0;
}

#define LOWER (LIMIT / 2)

static bool be_lowered_from_outside(hr_guard *guard)
{
    atomic_store(&stage->step, 1);
    return await(2) && EVENTUALLY(read_figures(guard).limit_bytes <= LOWER) &&
           EVENTUALLY(hr_guard_level(guard) <= HR_WARNING) && read_figures(guard).cgroup_bytes < LOWER &&
           explains(guard, stage->group);
}

static int serve_while_lowered_from_outside(void *context)
{
    (void)context;
    return serve(be_lowered_from_outside);
}

/* As kubelet resizes a pod: a write below what is used fails with EBUSY and the limit stays. So whoever writes goes as
 * low as is taken, a little above use, and retries: relief makes room below each limit that it sees. */
static void a_writer_who_retries_gets_the_limit_lowered(void **state)
{
    (void)state;
    hrt_cgroup group;
    new_group("lowered", &group);
    if (group.version != 1) {
        hrt_cgroup_free(&group);
        print_message("skipped: v2 kills at once for memory.max below use; memory.high is in tests/vm\n");
        skip();
    }
    pid_t server = hrt_cgroup_start(&group, serve_while_lowered_from_outside, NULL);
    assert_true(await(1));
    int error = hrt_cgroup_set_limit(&group, LOWER), refused = 0;
    for (int i = 0; error && i < 1000; i++) {
        assert_int_equal(error, -EBUSY);
        refused++;
        uint64_t use = hrt_cgroup_usage(&group),
                 next = use + use / (16 + (uint64_t)i / 2); /* closer by and by: relief runs from degrade_at on */
        if (next < LIMIT)
            hrt_cgroup_set_limit(&group, next > LOWER ? next : LOWER);
        usleep(20000);
        error = hrt_cgroup_set_limit(&group, LOWER);
    }
    assert_int_equal(error, 0);
    assert_true(refused > 0); /* else it was no show */
    atomic_store(&stage->step, 2);
    assert_well(server, &group);
}

static bool be_throttled(hr_guard *guard)
{
    atomic_store(&stage->step, 1);
    return await(2) && EVENTUALLY(read_figures(guard).limit_bytes <= LOWER) &&
           EVENTUALLY(atomic_load(&worst) == HR_CRITICAL) && EVENTUALLY(hr_guard_level(guard) <= HR_WARNING) &&
           read_figures(guard).cgroup_bytes < LOWER && explains(guard, "memory.high");
}

static int serve_while_throttled(void *context)
{
    (void)context;
    return serve(be_throttled);
}

/* v2: a group that is beyond its memory.high is slowed down to a crawl. It is seen, it is critical, and relief brings
 * the group out of it. */
static void memory_high_is_lowered_below_use_in_one_step(void **state)
{
    (void)state;
    hrt_cgroup group;
    char path[HRT_CGROUP_PATH + 16], limit[32];
    new_group("high", &group);
    if (group.version != 2) {
        hrt_cgroup_free(&group);
        print_message("skipped: v1 has no memory.high\n");
        skip();
    }
    pid_t server = hrt_cgroup_start(&group, serve_while_throttled, NULL);
    assert_true(await(1));
    assert_true(hrt_cgroup_usage(&group) > LOWER); /* else it was no show */
    snprintf(path, sizeof path, "%s/memory.high", group.path);
    int fd = open(path, O_WRONLY | O_CLOEXEC),
        length = snprintf(limit, sizeof limit, "%llu", (unsigned long long)LOWER);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, limit, (size_t)length), length);
    close(fd);
    atomic_store(&stage->step, 2);
    assert_well(server, &group);
}

static bool lower_in_one_step(hr_guard *guard)
{
    hr_budget *root = hr_guard_root(guard);
    uint64_t before = read_figures(guard).reliefs;
    if (hr_budget_set_limit(root, LIMIT / 4) != 0)
        return false;
    return EVENTUALLY(read_figures(guard).live_bytes <= LIMIT / 4) && EVENTUALLY(hr_guard_level(guard) <= HR_WARNING) &&
           read_figures(guard).reliefs > before && explains(guard, "16.0 MiB used") && explains(guard, "limit_bytes");
}

static int serve_while_lowered_in_one_step(void *context)
{
    (void)context;
    return serve(lower_in_one_step);
}

static void a_budgets_limit_is_lowered_below_use_in_one_step(void **state)
{
    (void)state;
    hrt_cgroup group;
    new_group("onestep", &group);
    assert_well(hrt_cgroup_start(&group, serve_while_lowered_in_one_step, NULL), &group);
}

/* ── page cache that nobody gets written ────────────────────────────────────────────────────────────────────────── */

static char folder[] = "/tmp/headroom-stuck-XXXXXX";

/* 24 MiB are dirty for ever. Then the process is filled until it is refused. */
static int be_beside_dirty_pages(void *context)
{
    (void)context;
    static char block[MIB];
    char path[sizeof folder + 8];
    hr_guard *guard;
    snprintf(path, sizeof path, "%s/file", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    HRT_CAGED_CHECK(fd >= 0);
    for (int i = 0; i < 24; i++)
        HRT_CAGED_CHECK(write(fd, block, sizeof block) == sizeof block);
    HRT_CAGED_CHECK(hr_guard_new(&(hr_guard_options){.interval_ns = 20000000}, &guard) == 0);
    hr_figures figures = read_figures(guard);
    HRT_CAGED_CHECK(figures.dirty_bytes >= 20 * MIB);
    uint64_t granted = fill(guard);
    hr_guard_check(guard);
    HRT_CAGED_CHECK(granted > 16 * MIB && granted < LIMIT - 20 * MIB);
    hr_refusal refusal; /* the level follows once the pages have stayed for as long as the kernel takes to write any */
    HRT_CAGED_CHECK(hr_budget_refusal(&refusal) == 0 && strstr(refusal.limit_name, stage->group));
    HRT_CAGED_CHECK(explains(guard, stage->group));
    HRT_CAGED_CHECK(explains(guard, " of page cache are not written yet"));
    atomic_store(&stage->step, 1);
    HRT_CAGED_CHECK(await(2)); /* to close the file is to wait until it is written */
    return 0;
}

/* Starts the file system outside of the group. Gives its process; 0 where it cannot be had, with the reason. */
static pid_t mount_stuck(void)
{
    const char *build = getenv("HEADROOM_BUILD_DIR");
    char program[4096], word[64] = "";
    int ends[2];
    snprintf(program, sizeof program, "%s/tests/tools/stuck", build ? build : ".");
    if (access(program, X_OK) != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
        print_message("skipped: no file system can be made: %s (libfuse3-dev, /dev/fuse)\n", program);
        return 0;
    }
    assert_non_null(mkdtemp(folder));
    assert_int_equal(pipe(ends), 0);
    pid_t server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(program, "stuck", folder, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t length = read(ends[0], word, sizeof word - 1);
    close(ends[0]);
    if (length == 8 && strcmp(word, "mounted\n") == 0)
        return server;
    print_message("skipped: the file system does not come up: %s\n", length > 0 ? word : "it ended");
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    rmdir(folder);
    return 0;
}

static void dirty_pages_of_a_file_system_that_hangs(void **state)
{
    (void)state;
    hrt_cgroup group;
    pid_t file_system = mount_stuck();
    if (!file_system)
        skip();
    new_group("dirty", &group);
    pid_t server = hrt_cgroup_start(&group, be_beside_dirty_pages, NULL);
    int status = 0;
    bool told = EVENTUALLY(atomic_load(&stage->step) >= 1 || waitpid(server, &status, WNOHANG) == server);
    umount2(folder, MNT_DETACH);
    kill(file_system, SIGKILL); /* what waits for it ends with it */
    waitpid(file_system, NULL, 0);
    rmdir(folder);
    assert_true(told && atomic_load(&stage->step) == 1);
    atomic_store(&stage->step, 2);
    assert_well(server, &group);
}

/* ── names and files ────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_in_memory(const char *path)
{
    struct statfs status;
    return statfs(path, &status) == 0 && (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

/* The kernel remembers each name that is not there, and charges it to the group: 192 bytes each, three times the
 * limit. */
static int look_for_a_million_names(void *context)
{
    (void)context;
    hr_guard *guard;
    struct stat status;
    char path[64];
    HRT_CAGED_CHECK(hr_guard_new(&(hr_guard_options){.interval_ns = 20000000}, &guard) == 0);
    for (unsigned i = 0; i < 1000000; i++) {
        snprintf(path, sizeof path, "/tmp/headroom-there-is-no-%u", i);
        HRT_CAGED_CHECK(stat(path, &status) != 0);
        if (i % 4096 == 0)
            HRT_CAGED_CHECK(read_figures(guard).use < 0.5); /* on a slow machine the group's PSI may say more */
    }
    HRT_CAGED_CHECK(EVENTUALLY(hr_guard_check(guard) == HR_NORMAL));
    HRT_CAGED_CHECK(explains(guard, "normal: "));
    HRT_CAGED_CHECK(fill(guard) > LIMIT / 2); /* the names go when their room is wanted */
    hr_guard_check(guard);
    HRT_CAGED_CHECK(explains(guard, stage->group));
    return 0;
}

static void a_million_names_that_are_not_there(void **state)
{
    (void)state;
    hrt_cgroup group;
    if (is_in_memory("/tmp")) {
        print_message("skipped: /tmp is memory here, which remembers no such names\n");
        skip();
    }
    new_group("names", &group);
    assert_well(hrt_cgroup_start(&group, look_for_a_million_names, NULL), &group);
}

/* 40 MiB in files of a tmpfs: no page of them can be dropped. */
static int hold_files_in_memory(void *context)
{
    (void)context;
    static char block[MIB];
    hr_guard *guard;
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
        mount("files", "/tmp", "tmpfs", 0, NULL) != 0)
        return 77;
    int fd = open("/tmp/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    HRT_CAGED_CHECK(fd >= 0);
    for (int i = 0; i < 40; i++)
        HRT_CAGED_CHECK(write(fd, block, sizeof block) == sizeof block);
    HRT_CAGED_CHECK(hr_guard_new(&(hr_guard_options){.interval_ns = 20000000}, &guard) == 0);
    hr_figures figures = read_figures(guard);
    HRT_CAGED_CHECK(figures.cgroup_bytes >= 40 * MIB && figures.use > 0.6);
    uint64_t granted = fill(guard);
    hr_guard_check(guard);
    HRT_CAGED_CHECK(granted > 8 * MIB && granted < LIMIT - 40 * MIB);
    HRT_CAGED_CHECK(hr_guard_level(guard) >= HR_DEGRADED);
    HRT_CAGED_CHECK(explains(guard, stage->group));
    return 0;
}

static void files_in_memory_are_use(void **state)
{
    (void)state;
    hrt_cgroup group;
    new_group("tmpfs", &group);
    assert_well(hrt_cgroup_start(&group, hold_files_in_memory, NULL), &group);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_writer_who_retries_gets_the_limit_lowered),
        TEST(memory_high_is_lowered_below_use_in_one_step),
        TEST(a_budgets_limit_is_lowered_below_use_in_one_step),
        TEST(dirty_pages_of_a_file_system_that_hangs),
        TEST(a_million_names_that_are_not_there),
        TEST(files_in_memory_are_use),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
