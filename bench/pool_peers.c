/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_peers.h"

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The output of a program: nanoseconds. */
static double run(const char *line)
{
    double ns = 0;
    FILE *out = popen(line, "r");
    bench_require(out && fscanf(out, "%lf", &ns) == 1 && pclose(out) == 0, line);
    return ns;
}

/* ── Go ─────────────────────────────────────────────────────────────────────────────────────────────────────────── */

static char folder[] = "/tmp/headroom-bench-pool-XXXXXX";

static const char source[] =
    "package main\n"
    "import (\"fmt\"; \"os\"; \"runtime\"; \"sync\"; \"time\")\n"
    "type block struct { b [64]byte }\n"
    "var pool = sync.Pool{New: func() interface{} { return new(block) }}\n"
    "var sink *block\n"
    "func pair(n int) { for i := 0; i < n; i++ { x := pool.Get().(*block); x.b[0]++; pool.Put(x) } }\n"
    "func batch(n int) {\n"
    "  var a [100]*block\n"
    "  for i := 0; i < n; i += 100 {\n"
    "    for k := range a { a[k] = pool.Get().(*block) }\n"
    "    for k := range a { pool.Put(a[k]) }\n"
    "  }\n"
    "}\n"
    "func threads(n int) {\n"
    "  var w sync.WaitGroup\n"
    "  for t := 0; t < 2; t++ { w.Add(1); go func() { runtime.LockOSThread(); pair(n); w.Done() }() }\n"
    "  w.Wait()\n"
    "}\n"
    "func handoff(n int) {\n"
    "  c := make(chan [64]*block, 16)\n"
    "  go func() {\n"
    "    for i := 0; i < n; i += 64 { var g [64]*block; for k := range g { g[k] = pool.Get().(*block) }; c <- g }\n"
    "    close(c)\n"
    "  }()\n"
    "  for g := range c { for k := range g { pool.Put(g[k]) } }\n"
    "}\n"
    "func main() {\n"
    "  n := 3000000\n"
    "  f := map[string]func(int){\"pair\": pair, \"batch\": batch, \"threads\": threads, \"handoff\": "
    "handoff}[os.Args[1]]\n"
    "  f(n / 10)\n"
    "  t := time.Now(); f(n)\n"
    "  fmt.Printf(\"%.3f\\n\", float64(time.Since(t).Nanoseconds())/float64(n))\n"
    "}\n";

static void remove_folder(void)
{
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", folder);
    (void)!system(line);
}

bool bench_pool_go(void)
{
    char line[512];
    if (system("command -v go >/dev/null 2>&1") != 0) {
        bench_missing("Go sync.Pool", "golang-go", "the peer is compiled by it");
        return false;
    }
    bench_require(mkdtemp(folder) != NULL, "mkdtemp");
    atexit(remove_folder);
    snprintf(line, sizeof line, "%s/main.go", folder);
    FILE *file = fopen(line, "w");
    bench_require(file && fputs(source, file) >= 0 && fclose(file) == 0, "writing main.go");
    snprintf(line, sizeof line, "cd %s && GOCACHE=%s/cache GO111MODULE=off GOFLAGS= go build -o peer main.go >&2",
             folder, folder);
    return system(line) == 0;
}

double bench_pool_go_ns(void *pattern)
{
    char line[256];
    snprintf(line, sizeof line, "GOMAXPROCS=2 %s/peer %s", folder, (const char *)pattern);
    return run(line);
}

/* ── DPDK ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static char dpdk_path[4096]; /* of pool_dpdk, which stands beside this program */

bool bench_pool_dpdk(void)
{
    ssize_t length = readlink("/proc/self/exe", dpdk_path, sizeof dpdk_path - 16);
    bench_require(length > 0, "readlink");
    dpdk_path[length] = '\0';
    strcpy(strrchr(dpdk_path, '/') + 1, "pool_dpdk");
    bool there = access(dpdk_path, X_OK) == 0;
    if (!there)
        bench_missing("DPDK rte_mempool", "libdpdk-dev", "it was not there when headroom was configured");
    return there;
}

double bench_pool_dpdk_ns(void *pattern)
{
    char line[4200];
    snprintf(line, sizeof line, "'%s' %s", dpdk_path, (const char *)pattern);
    return run(line);
}
