/* SPDX-License-Identifier: Apache-2.0 */
/* Streams beside what people use today, on the same file in the page cache, each in a process of its own.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "flow_packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* ── inputs ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

enum input {
    TEXT,   /* lines, 1 GiB */
    COLD,   /* the same, not in the page cache */
    PIPE,   /* the same, through a pipe, from cat */
    PACKED, /* records that are compressed */
    SPARSE  /* of any size, of zeros */
};

static char text_path[] = "/tmp/headroom-bench-text-XXXXXX", packed_path[] = "/tmp/headroom-bench-packed-XXXXXX";
static uint64_t packed_bytes;

static void remove_inputs(void)
{
    unlink(text_path);
    unlink(packed_path);
}

/* In a process of its own: a child's peak of resident memory begins with what its parent has. */
static void make_apart(void (*make)(int fd), char *path)
{
    int fd = mkstemp(path), status = -1;
    bench_require(fd >= 0, "mkstemp");
    pid_t pid = fork();
    if (pid == 0) {
        make(fd);
        _exit(0);
    }
    bench_require(waitpid(pid, &status, 0) == pid && status == 0, "making the input");
    close(fd);
}

static void make_text(int fd)
{
    static char block[1 << 20];
    size_t size = 0;
    for (unsigned line = 0; size + 80 < sizeof block; line++)
        size +=
            (size_t)sprintf(block + size, "line %u of a file that is there to be read as fast as it can be\n", line);
    memset(block + size, 'x', sizeof block - size - 1);
    block[sizeof block - 1] = '\n';
    for (uint64_t done = 0; done < GIB; done += sizeof block)
        bench_require(write(fd, block, sizeof block) == sizeof block, "write");
}

/* ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────── */

enum what {
    SPEED, /* GB/s */
    CPU,   /* s for a GB */
    RSS    /* KiB at the most */
};

struct run {
    enum what what;
    enum input input;
    uint64_t bytes;         /* of the input */
    const char *command[6]; /* NULL: flow_child with `way` */
    const char *way;
};

static char child_path[4096], uring_path[4096]; /* of flow_child and flow_uring, which stand beside this program */

static void find_beside(char path[4096], const char *name)
{
    ssize_t length = readlink("/proc/self/exe", path, 4096 - 16);
    bench_require(length > 0, "readlink");
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, name);
}

static int open_input(const struct run *run)
{
    if (run->input != SPARSE) {
        int fd = open(run->input == PACKED ? packed_path : text_path, O_RDONLY | O_CLOEXEC);
        if (run->input == COLD)
            bench_require(fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "a cold file");
        return fd;
    }
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bench_require(fd >= 0 && ftruncate(fd, (off_t)run->bytes) == 0, "a sparse file");
    return fd;
}

static pid_t start(const char *const *command, int in, int out)
{
    pid_t pid = fork();
    bench_require(pid >= 0, "fork");
    if (pid > 0)
        return pid;
    int null = open("/dev/null", O_WRONLY);
    dup2(in, STDIN_FILENO);
    dup2(out < 0 ? null : out, STDOUT_FILENO);
    execvp(command[0], (char *const *)(uintptr_t)command);
    _exit(127);
}

static double run_once(void *context)
{
    const struct run *run = context;
    const char *ours[] = {child_path, run->way, NULL};
    int in = open_input(run), ends[2] = {-1, -1};
    bench_require(in >= 0, "open");
    pid_t writer = 0;
    int64_t begin_ns = bench_now_ns();
    if (run->input == PIPE) {
        const char *cat[] = {"cat", NULL};
        bench_require(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
        writer = start(cat, in, ends[1]);
        close(ends[1]);
        close(in);
        in = ends[0];
    }
    pid_t pid = start(run->way ? ours : run->command, in, -1);
    close(in);
    struct rusage use;
    int status;
    bench_require(wait4(pid, &status, 0, &use) == pid, "wait4");
    double seconds = (double)(bench_now_ns() - begin_ns) / 1e9;
    if (writer)
        waitpid(writer, NULL, 0);
    bench_require(WIFEXITED(status) && WEXITSTATUS(status) == 0, run->way ? run->way : run->command[0]);
    double gigabytes = (double)run->bytes / 1e9;
    if (run->what == RSS)
        return (double)use.ru_maxrss;
    if (run->what == SPEED)
        return gigabytes / seconds;
    return ((double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
            (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6) /
           gigabytes;
}

/* ── peers ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_there(const char *command)
{
    char line[sizeof uring_path + 64];
    const char *question = command == uring_path ? "'%s' </dev/null >/dev/null 2>&1" : "command -v %s >/dev/null 2>&1";
    snprintf(line, sizeof line, question, command);
    return system(line) == 0;
}

static char go_path[] = "/tmp/headroom-bench-go-XXXXXX", go_peer[64];

static void remove_go(void)
{
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", go_path);
    (void)!system(line);
}

static const char go_source[] =
    "package main\n"
    "import (\"bufio\"; \"bytes\"; \"fmt\"; \"io\"; \"os\")\n"
    "func main() {\n"
    "  n := 0\n"
    "  if os.Args[1] == \"read\" {\n"
    "    b := make([]byte, 1<<20)\n"
    "    for { k, e := os.Stdin.Read(b); n += bytes.Count(b[:k], []byte{10}); if e != nil { break } }\n"
    "  } else {\n"
    "    r := bufio.NewReaderSize(os.Stdin, 65536)\n"
    "    b := make([]byte, 4096)\n"
    "    for { k, e := io.ReadAtLeast(r, b, 1); n += bytes.Count(b[:k], []byte{10}); if e != nil { break } }\n"
    "  }\n"
    "  fmt.Println(n)\n"
    "}\n";

/* Compiles the Go peer; gives whether it is there. */
static bool make_go(void)
{
    char line[512];
    if (!is_there("go")) {
        bench_missing("go", "golang-go", "the peers go_read and go_bufio are compiled by it");
        return false;
    }
    bench_require(mkdtemp(go_path) != NULL, "mkdtemp");
    atexit(remove_go);
    snprintf(line, sizeof line, "%s/main.go", go_path);
    FILE *file = fopen(line, "w");
    bench_require(file && fputs(go_source, file) >= 0 && fclose(file) == 0, "writing main.go");
    snprintf(line, sizeof line, "cd %s && GOCACHE=%s/cache GO111MODULE=off GOFLAGS= go build -o peer main.go >&2",
             go_path, go_path);
    return system(line) == 0;
}

/* Leaves out of a group what is not installed. */
static void leave_out(bench_group *group)
{
    static char said[2 * sizeof uring_path];
    for (size_t i = 1; i < BENCH_CASES_MAX; i++) {
        bench_case *test = &group->cases[i];
        const struct run *run = test->context;
        if (!test->measure || run->way || is_there(run->command[0]))
            continue;
        if (!strstr(said, run->command[0])) {
            snprintf(said + strlen(said), sizeof said - strlen(said), "%s ", run->command[0]);
            if (run->command[0] == uring_path)
                bench_missing(test->name, "liburing-dev",
                              "it was not there when headroom was configured, or the kernel refuses it");
            else if (run->command[0] != go_peer)
                bench_missing(test->name, run->command[0], "a program that people use for this");
        }
        *test = (bench_case){.name = test->name};
    }
}

#define OURS(WHAT, INPUT, BYTES, WAY) (&(struct run){.what = WHAT, .input = INPUT, .bytes = BYTES, .way = WAY})
#define THEIRS(WHAT, INPUT, BYTES, ...)                                                                                \
    (&(struct run){.what = WHAT, .input = INPUT, .bytes = BYTES, .command = {__VA_ARGS__}})
#define CASE(NAME, RUN)                                                                                                \
    {                                                                                                                  \
        NAME, NULL, run_once, RUN                                                                                      \
    }
#define COUNT_CASES(WHAT)                                                                                              \
    {                                                                                                                  \
        CASE(NULL, OURS(WHAT, TEXT, GIB, "count")), CASE("read_loop", OURS(WHAT, TEXT, GIB, "read_loop")),             \
            CASE("mmap", OURS(WHAT, TEXT, GIB, "mmap")), CASE("wc", THEIRS(WHAT, TEXT, GIB, "wc", "-l")),              \
            CASE("go_read", THEIRS(WHAT, TEXT, GIB, go_peer, "read")),                                                 \
            CASE("go_bufio", THEIRS(WHAT, TEXT, GIB, go_peer, "bufio")),                                               \
            CASE("io_uring", THEIRS(WHAT, TEXT, GIB, uring_path)),                                                     \
    }

/* Makes the inputs of all cases, and finds the programs that read them. */
static void set_up(void)
{
    find_beside(child_path, "flow_child");
    find_beside(uring_path, "flow_uring");
    atexit(remove_inputs);
    make_apart(make_text, text_path);
    make_apart(flow_write_packed, packed_path);
    packed_bytes = flow_packed_bytes();
    if (make_go())
        snprintf(go_peer, sizeof go_peer, "%s/peer", go_path);
    else
        snprintf(go_peer, sizeof go_peer, "/tmp/there-is-no-go");
}

int main(int argc, char **argv)
{
    set_up();
    bench_group groups[] = {
        {.name = "flow_count", .metric = "speed", .unit = "GB/s", .rounds = 9, .cases = COUNT_CASES(SPEED)},
        {.name = "flow_count", .metric = "cpu", .unit = "s/GB", .rounds = 3, .cases = COUNT_CASES(CPU)},
        {.name = "flow_count", .metric = "rss", .unit = "KiB", .rounds = 3, .cases = COUNT_CASES(RSS)},
        {.name = "flow_cold",
         .metric = "speed",
         .unit = "GB/s",
         .rounds = 5,
         .cases = {CASE(NULL, OURS(SPEED, COLD, GIB, "count")), CASE("read_loop", OURS(SPEED, COLD, GIB, "read_loop")),
                   CASE("io_uring", THEIRS(SPEED, COLD, GIB, uring_path))}},
        {.name = "flow_read",
         .metric = "speed",
         .unit = "GB/s",
         .rounds = 7,
         .cases = {CASE(NULL, OURS(SPEED, TEXT, GIB, "read")), CASE("cat", THEIRS(SPEED, TEXT, GIB, "cat")),
                   CASE("dd", THEIRS(SPEED, TEXT, GIB, "dd", "bs=1M", "status=none")),
                   CASE("pv", THEIRS(SPEED, TEXT, GIB, "pv", "-q"))}},
        {.name = "flow_pipe",
         .metric = "speed",
         .unit = "GB/s",
         .rounds = 5,
         .cases = {CASE(NULL, OURS(SPEED, PIPE, GIB, "read")),
                   CASE("mbuffer_1m", THEIRS(SPEED, PIPE, GIB, "mbuffer", "-q", "-m", "1M")),
                   CASE("mbuffer_64m", THEIRS(SPEED, PIPE, GIB, "mbuffer", "-q", "-m", "64M")),
                   CASE("pv", THEIRS(SPEED, PIPE, GIB, "pv", "-q")), CASE("cat", THEIRS(SPEED, PIPE, GIB, "cat")),
                   CASE("io_uring", THEIRS(SPEED, PIPE, GIB, uring_path))}},
        {.name = "flow_rss_4_gib",
         .metric = "rss",
         .unit = "KiB",
         .rounds = 1,
         .cases = {CASE(NULL, OURS(RSS, SPARSE, 4 * GIB, "drop")), CASE("1_gib", OURS(RSS, SPARSE, 1 * GIB, "drop"))}},
        {.name = "flow_rss_16_gib",
         .metric = "rss",
         .unit = "KiB",
         .rounds = 1,
         .cases = {CASE(NULL, OURS(RSS, SPARSE, 16 * GIB, "drop")), CASE("1_gib", OURS(RSS, SPARSE, 1 * GIB, "drop"))}},
        {.name = "flow_digest_2_workers",
         .metric = "speed",
         .unit = "GB/s",
         .rounds = 5,
         .cases = {CASE(NULL, OURS(SPEED, TEXT, GIB, "digest2")), CASE("1_worker", OURS(SPEED, TEXT, GIB, "digest1")),
                   CASE("no_workers", OURS(SPEED, TEXT, GIB, "digest"))}},
        {.name = "flow_zlib_2_workers",
         .metric = "speed",
         .unit = "GB/s",
         .rounds = 5,
         .cases = {CASE(NULL, OURS(SPEED, PACKED, packed_bytes, "unpack2")),
                   CASE("1_worker", OURS(SPEED, PACKED, packed_bytes, "unpack1")),
                   CASE("no_workers", OURS(SPEED, PACKED, packed_bytes, "unpack"))}},
    };
    size_t count = sizeof groups / sizeof *groups;
    for (size_t i = 0; i < count; i++)
        leave_out(&groups[i]);
    if (!packed_bytes) {
        bench_missing("zlib", "zlib1g", "what two workers gain is measured with it too");
        printf("{\"skipped\": \"flow_zlib_2_workers\", \"why\": \"there is no zlib\"}\n");
        count--;
    }
    return bench_main(argc, argv, groups, count);
}
