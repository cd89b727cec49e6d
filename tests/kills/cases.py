# SPDX-License-Identifier: Apache-2.0
"""The cases that run.py runs: a program of this folder with arguments, the limit of its group, and what is right.

command      the program and its arguments; {seed} is the seed of the run
limit        of the memory cgroup
environment  settings for the program alone
seconds      after which a run counts as hung
quick        how many runs ctest makes; 0: none, it takes too long
right        the outcomes that are right
allocators   the ones that it is run with
open_        why it fails today; a case that holds has none, and ctest runs it
open_v2      why it fails today in the guest of tests/vm, on cgroup v2
later        the part of the library that is to come first; the default leaves such a case out
"""
import dataclasses

ALL = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
CANNOT = "cannot be seen in time from inside; README says so"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    command: str
    limit: str = "64MiB"
    environment: tuple = ()
    seconds: int = 40
    quick: int = 0
    right: tuple = ("ok",)
    allocators: tuple = ALL
    open_: str = ""
    open_v2: str = ""
    later: str = ""


HUGE_PAGES = ("GLIBC_TUNABLES=glibc.malloc.hugetlb=1",)
SMALL_LIMITS = ("churn {seed} 3 threads=16 small=50 mid=45 large=5 huge=0 realloc=0 calloc=0 align=0 cross=20 admit=0 "
                "maxk=1100")

CASES = [
    # Memory of malloc that is admitted and spent before it is touched; 32 threads.
    Case("spend_late", "spend_late 16 3 {seed}", quick=1),
    Case("spend_late_8", "spend_late 8 3 {seed}"),
    Case("spend_late_4", "spend_late 4 3 {seed}"),
    Case("spend_late_24", "spend_late 24 3 {seed}"),
    # Blocks below two pages that are touched late.
    Case("small_late", "small_late 20 8191", quick=3),
    Case("small_late_6000", "small_late 20 6000"),
    Case("small_late_8192", "small_late 20 8192", quick=2),
    Case("small_late_threads", "small_late 20 5000 8"),
    Case("zero_page", "zero_page 20 30", quick=1),
    # Two guards in one process; several guarded processes in one group.
    Case("two_guards", "two_guards 20", quick=3),
    Case("two_guards_0", "two_guards 0"),
    Case("neighbours_2", "neighbours 2 4 {seed}", quick=1),
    Case("neighbours", "neighbours 4 4 {seed}", quick=1),
    Case("neighbours_256", "neighbours 4 4 {seed}", limit="256MiB"),
    Case("neighbours_prefork", "neighbours 4 4 {seed} prefork"),
    Case("neighbours_16", "neighbours 16 4 {seed}"),
    *[Case("_".join(["many", str(count), *kinds]), " ".join([f"many {count} 5 {{seed}}", *kinds]),
           quick=int(count == 8 and len(kinds) == 2))
      for count in (2, 8, 16) for kinds in ((), ("mixed",), ("together",), ("mixed", "together"))],
    *[Case(f"fair_{what}_{count}{kind and '_' + kind}", f"fair {count} {what} {kind}", quick=int(count == 8))
      for what in ("idle", "evictable") for count in (2, 8, 16) for kind in ("", "mixed")],
    # Ordinary use of small limits; 16 threads.
    Case("small_limits_8", SMALL_LIMITS, limit="8MiB", quick=1),
    Case("small_limits_16", SMALL_LIMITS, limit="16MiB"),
    Case("vmsplice_unmapped", "vmsplice_unmapped 20", quick=2),
    Case("shared_charged", "shared_charged", quick=2),
    Case("shared_charged_private", "shared_charged private", quick=1),
    # An allocator that copies needs both blocks; one that grows in place does not.
    Case("realloc_large", "realloc_copies 1 36000000 8000000", quick=2),
    Case("realloc_large_4", "realloc_copies 4 9000000 4000000"),
    Case("realloc_in_place", "realloc_copies 1 36000000 8000000 1", quick=2, allocators=("glibc",)),
    Case("realloc_small", "realloc_copies 900 60000 4096", quick=2),
    Case("realloc_small_more", "realloc_copies 700 60000 8000"),
    # Charges in signal handlers, waits.
    Case("wait_stands_back", "wait_stands_back", quick=1),
    Case("signal_free", "signal_free 10", quick=1),
    Case("signal_fork", "signal_fork 20", quick=1),
    # Refusals while the bytes are there.
    Case("try_charge", "try_charge 2 1024 0 2", quick=1),
    Case("try_charge_128", "try_charge 2 128 0 2"),
    Case("try_charge_pauses", "try_charge 4 1024 100 2"),
    Case("try_charge_held", "try_charge 4 512 0 2 50"),
    *[Case(f"false_refusals_{kind}", f"false_refusals {kind} 4 1024 1", quick=1)
      for kind in ("try", "charge", "wait", "transfer", "admit", "alloc", "touch", "calloc", "realloc", "pool",
                   "local")],
    *[Case(f"false_refusals_{kind}_small", f"false_refusals {kind} 16 32 1 0 8")
      for kind in ("try", "charge", "transfer", "admit", "touch", "local")],
    Case("transfer", "transfer 60", quick=2),
    Case("transfer_parts", "transfer 60 8"),
    Case("left_bytes", "left_bytes self 16", quick=1),
    Case("left_bytes_other", "left_bytes other 16"),
    Case("readings", "readings", quick=1),
    Case("readings_no_monitor", "readings -1", quick=1),
    Case("tls_stack", "tls_stack", quick=1),
    # The group changes, or the files by which it is read are gone.
    Case("moved", "moved 24", quick=1),
    Case("moved_fast", "moved 24 10"),
    Case("moved_little", "moved 16 100"),
    *[Case(f"closed_files_{how}", f"closed_files {how}", quick=1)
      for how in ("close", "reuse", "daemon", "use")],
    # Kills that cannot be prevented.
    Case("limit_lowered", "limit_lowered 60000 {seed}", right=("ok", "killed"), later=CANNOT),
    Case("fork_cow", "fork_cow 40", right=("ok", "killed"), later=CANNOT),
    # A server whose memory only its clients can give back; a process in which nobody watches.
    Case("steady", "steady 4 {seed}", quick=1),
    Case("steady_even", "steady 4 {seed} 16 1024 65536 45"),
    Case("steady_large", "steady 4 {seed} 4 100000 400000 10"),
    Case("steady_one", "steady 4 {seed} 1 1000 64000"),
    Case("nomonitor", "nomonitor 1000 5 65536", quick=1),
    # A cache at critical; the arenas of malloc, and huge pages, beside blocks of the heap.
    Case("cache_critical", "cache_critical 100000 2 8"),
    Case("arena_top", "arena_top 64 45 1 40"),
    Case("arena_top_backwards", "arena_top 64 45 4 40 backwards"),
    Case("huge_pages", "huge_pages 16 2 {seed}", environment=HUGE_PAGES, allocators=("glibc",)),
    Case("huge_pages_256", "huge_pages 16 2 {seed}", limit="256MiB", environment=HUGE_PAGES, allocators=("glibc",)),
    Case("page_cache_none", "page_cache none 4 {seed}"),
    *[Case(f"page_cache_{mode}", f"page_cache {mode} 4 {{seed}}", seconds=90, quick=int(mode == "map-read"))
      for mode in ("write", "sync", "read", "map", "map-read", "lock", "shm")],
    Case("rlimit_as", "rlimit_as 1024 16", quick=2),
    Case("tmpfs_dentries", "tmpfs_dentries 25000", quick=1),
    Case("tmpfs_pages", "tmpfs_dentries 4000 8192"),
    # Kernel memory that v1 does not tell from names of files.
    Case("kernel_held_pipes", "kernel_held pipes 30", quick=1),
    Case("kernel_held_pipes_slowly", "kernel_held pipes 30 30"),
    Case("kernel_held_sockets", "kernel_held sockets 30", quick=1),
    Case("kernel_held_after_names", "kernel_held pipes 30 1 40", quick=1),
    Case("kernel_held_before", "kernel_held pipes 30 1 0 before", quick=1),
    Case("kernel_held_before_sockets", "kernel_held sockets 30 1 0 before"),
    Case("kernel_held_watches_before", "kernel_held watches 24 1 0 before", quick=1),
    Case("kernel_held_files_before", "kernel_held files 30 1 0 before"),
    Case("kernel_held_other_before", "kernel_held pipes 30 1 0 before other", quick=1),
    Case("kernel_held_other_before_sockets", "kernel_held sockets 30 1 0 before other", quick=1),
    Case("kernel_held_other_slowly", "kernel_held pipes 30 100 0 after other"),
    Case("kernel_held_names", "kernel_held names 100"),
]

# The storm: churn with random parameters. The limits and numbers of threads are in run.py.
STORM_SECONDS = 4
STORM_SIZES = [
    {},
    {"small": 100, "mid": 0, "large": 0, "huge": 0},
    {"small": 90, "mid": 5, "large": 4, "huge": 1, "fill": 1},
    {"small": 5, "mid": 95, "large": 0, "huge": 0},
    {"small": 0, "mid": 5, "large": 60, "huge": 35},
    {"small": 90, "mid": 0, "large": 5, "huge": 5},
]
STORM_CHOICES = {
    "realloc": [0, 0, 5, 20], "calloc": [0, 10, 40], "align": [0, 3, 10], "cross": [0, 20, 80],
    "late": [0, 0, 0, 50, 100],
    "admit": [0, 5, 50], "tuned": [0, 1], "interval": [0, 0, -1, 10, 10000], "reclaim": [0, 0, 1], "pace": [0, 0, 1000],
}
