/* SPDX-License-Identifier: Apache-2.0 */
/* Descendants are found by /proc/PID/task/TID/children, which costs by the size of the tree and not of the machine. A
 * kernel without it (CONFIG_PROC_CHILDREN) is asked for the parent of every process. */
#include "tree.h"

#include "files.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RUN_NAMESPACES_MAX 33 /* PID namespaces are nested 32 deep at the most */
#define PF_EXITING 4          /* of the kernel's include/linux/sched.h */

/* ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The numbers of a process from /proc's namespace down to its own. Gives how many there are. */
static int numbers_of(const char *folder, int numbers[RUN_NAMESPACES_MAX])
{
    char text[4096];
    int count = 0;
    const char *line = run_file_read(folder, "status", text, sizeof text) > 0 ? strstr(text, "\nNSpid:") : NULL;
    for (const char *at = line ? line + 7 : NULL; at && count < RUN_NAMESPACES_MAX; count++) {
        char *end;
        long number = *at == '\t' ? strtol(at, &end, 10) : 0;
        if (number <= 0)
            break;
        numbers[count] = (int)number;
        at = end;
    }
    return count;
}

int run_proc_depth(void)
{
    int numbers[RUN_NAMESPACES_MAX];
    char self[16] = "";
    if (readlink("/proc/self", self, sizeof self - 1) <= 0)
        return -1;
    if (atoi(self) == getpid())
        return 0;
    return numbers_of("/proc/self", numbers) - 1;
}

int run_proc_number(int pid)
{
    char file[48], text[1024];
    if (run_proc_depth() == 0)
        return pid;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return 0;
    snprintf(file, sizeof file, "%d", fd);
    const char *line =
        run_file_read("/proc/self/fdinfo", file, text, sizeof text) > 0 ? strstr(text, "\nPid:\t") : NULL;
    close(fd);
    int number = line ? atoi(line + 6) : 0;
    return number > 0 ? number : 0;
}

/* Our number of a process that /proc shows as `shown`; 0 where it has ended. */
static int own_number(const run_tree *tree, int shown)
{
    int numbers[RUN_NAMESPACES_MAX];
    char folder[32];
    if (tree->depth == 0)
        return shown;
    snprintf(folder, sizeof folder, "/proc/%d", shown);
    return numbers_of(folder, numbers) > tree->depth ? numbers[tree->depth] : 0;
}

void run_tree_open(run_tree *tree, int root, bool with_root)
{
    tree->depth = run_proc_depth();
    tree->root = run_proc_number(root);
    tree->with_root = with_root;
}

int run_tree_own(const run_tree *tree, size_t index)
{
    return own_number(tree, tree->pids[index]);
}

bool run_tree_has(const run_tree *tree, int pid)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (own_number(tree, tree->pids[i]) == pid)
            return true;
    }
    return false;
}

/* ── descendants ────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_skipped(const run_tree *tree, int shown)
{
    int pid = own_number(tree, shown);
    for (size_t i = 0; i < RUN_SKIPPED_MAX; i++) {
        if (tree->skipped[i] == pid)
            return true;
    }
    return pid == tree->keeper;
}

static void add(run_tree *tree, int pid)
{
    if (tree->count < RUN_TREE_MAX && pid > 0 && !is_skipped(tree, pid))
        tree->pids[tree->count++] = pid;
}

/* The parent of a process, 0 of one that came from elsewhere; -1 where there is no such process. Gives its state too,
 * if that is wanted: 'T' is that of a stopped one. */
static int parent_of(int pid, char *ret_state)
{
    char folder[32], text[512];
    snprintf(folder, sizeof folder, "/proc/%d", pid);
    if (run_file_read(folder, "stat", text, sizeof text) <= 0)
        return -1;
    const char *behind = strrchr(text, ')'); /* the name may hold anything */
    int parent;
    char state;
    if (!behind || sscanf(behind + 1, " %c %d", &state, &parent) != 2)
        return -1;
    if (ret_state)
        *ret_state = state;
    return parent;
}

bool run_tree_is_leaving(int shown)
{
    char folder[32], text[512];
    unsigned flags;
    snprintf(folder, sizeof folder, "/proc/%d", shown);
    const char *behind = run_file_read(folder, "stat", text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    return behind && sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_EXITING);
}

/* Adds the children of one process. Gives false where the kernel does not list them. */
static bool add_children(run_tree *tree, int pid)
{
    char folder[64], text[8192], file[288];
    snprintf(folder, sizeof folder, "/proc/%d/task", pid);
    DIR *threads = opendir(folder);
    bool known = !threads; /* it has ended */
    for (struct dirent *thread = threads ? readdir(threads) : NULL; thread; thread = readdir(threads)) {
        if (thread->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/children", thread->d_name);
        if (run_file_read(folder, file, text, sizeof text) < 0)
            continue;
        known = true;
        for (char *at = text, *end; *at; at = end) {
            long child = strtol(at, &end, 10);
            if (end == at)
                break;
            add(tree, (int)child);
        }
    }
    if (threads)
        closedir(threads);
    return known;
}

static bool descends(const run_tree *tree, int pid)
{
    for (int depth = 0; depth < 64 && pid > 1; depth++) {
        if (is_skipped(tree, pid))
            return false;
        pid = parent_of(pid, NULL);
        if (pid == tree->root)
            return true;
    }
    return false;
}

static void scan(run_tree *tree)
{
    DIR *processes = opendir("/proc");
    for (struct dirent *each = processes ? readdir(processes) : NULL; each; each = readdir(processes)) {
        int pid = atoi(each->d_name);
        if (pid > 0 && pid != tree->root && descends(tree, pid))
            add(tree, pid);
    }
    if (processes)
        closedir(processes);
}

void run_tree_list(run_tree *tree)
{
    tree->count = 0;
    if (tree->root == 0)
        return; /* /proc shows none of them */
    if (tree->with_root && parent_of(tree->root, NULL) >= 0)
        add(tree, tree->root);
    size_t first = tree->count;
    bool known = add_children(tree, tree->root);
    for (size_t i = first; known && i < tree->count; i++)
        add_children(tree, tree->pids[i]);
    if (!known)
        scan(tree);
}

/* The bytes of a line of /proc/PID/status, such as "RssAnon:"; 0 where it is not there. */
static uint64_t status_bytes(const char *text, const char *key)
{
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) << 10 : 0;
}

/* Beside its page tables a process took 44 to 51 KiB of kernel memory (Linux 6.18, x86-64). */
#define PROCESS_KERNEL_BYTES (UINT64_C(44) << 10)

static void add_up(run_tree *tree)
{
    tree->anonymous_bytes = tree->kernel_bytes = 0;
    for (size_t i = 0; i < tree->count; i++) {
        char folder[32], text[4096];
        snprintf(folder, sizeof folder, "/proc/%d", tree->pids[i]);
        if (run_file_read(folder, "status", text, sizeof text) <= 0)
            continue;
        tree->anonymous_bytes += status_bytes(text, "\nRssAnon:");
        tree->kernel_bytes += status_bytes(text, "\nVmPTE:") + PROCESS_KERNEL_BYTES;
    }
}

bool run_tree_refresh(run_tree *tree, int64_t now_ns, unsigned share)
{
    if (tree->summed_ns && now_ns - tree->summed_ns < tree->summing_ns * share)
        return false;
    int64_t begin_ns = run_now_ns();
    run_tree_list(tree);
    add_up(tree);
    tree->summed_ns = run_now_ns();
    tree->summing_ns = tree->summed_ns - begin_ns;
    return true;
}

void run_tree_signal(run_tree *tree, int signal)
{
    for (int round = 0; round < 8; round++) {
        size_t before = tree->count;
        run_tree_list(tree);
        for (size_t i = 0; i < tree->count; i++) {
            int pid = own_number(tree, tree->pids[i]);
            if (pid > 0)
                kill(pid, signal);
        }
        if (round > 0 && tree->count <= before)
            return; /* nobody has come since the last round */
    }
}

void run_tree_wake(run_tree *tree)
{
    run_tree_list(tree);
    for (size_t i = 0; i < tree->count; i++) {
        char state = 0;
        int pid = parent_of(tree->pids[i], &state) >= 0 && state == 'T' ? own_number(tree, tree->pids[i]) : 0;
        if (pid > 0)
            kill(pid, SIGCONT);
    }
}
