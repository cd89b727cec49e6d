#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of tests/kills, each in a memory cgroup of its own, and counts how the runs end.

    run.py [--runs N] [--allocator glibc|jemalloc|mimalloc|tcmalloc|all] [--busy] [--limit SIZE] [--seed N]
           [--log FILE] [--later] [--quick] [--list] [NAME]...

NAME is a case of cases.py, the beginning of its name, or "storm": churn with random parameters, drawn from the seed.
The default are all cases without the storm. Run i has the seed N + i - 1 (N is 1, or SEED), so `--seed N` repeats a
run.
--busy keeps all processors busy meanwhile. --later includes the cases that wait for a later part of the library.
--quick is what ctest runs: few runs, and only the cases that hold today. --list prints the cases and their state.
A case that is named in full is not left out.
--log appends a line for each run, and leaves out the runs that are in FILE already for the same build of the program.
HEADROOM_BUILD_DIR is where the programs are (default build/release, which alone has stocks).

Prints a line for each case and allocator with the counts, and a line for each run that did not end as it should.
Exit status: 0 if all runs ended as they should, 77 if no cgroup can be made, else 1.
"""
import argparse
import collections
import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import cases

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("HEADROOM_BUILD_DIR") or ROOT / "build/release").resolve()
CAGE = BUILD / "tests/tools/cage"
PRELOAD = {"glibc": None, "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2.0",
           "tcmalloc": "libtcmalloc_minimal.so.4"}
# The exit statuses of kills.h; others are "failed".
ENDS = {0: "ok", 10: "refused", 11: "locked", 12: "hung", 13: "killed", 77: "skipped"}
OUTCOMES = ["ok", "killed", "refused", "locked", "hung", "crashed", "failed", "skipped"]
# Ends by itself when the runner has ended, however that came.
LOAD = "import os\np = os.getppid()\nwhile os.getppid() == p:\n    sum(range(100000))"

Run = collections.namedtuple("Run", "outcome seconds detail")


def storm_case(seed, limit):
    """The parameters of churn that a seed stands for. `limit` replaces the limit that is drawn."""
    generator = random.Random(seed)
    mib = generator.choice([8, 16, 32, 64, 256, 1024])
    if limit:
        mib = max(1, bytes_of(limit) >> 20)
    values = {"threads": generator.choice([1, 2, 4, 8, 16, 32, 64] if mib >= 32 else [1, 2, 4, 8])}
    values.update(generator.choice(cases.STORM_SIZES))
    for name, choices in cases.STORM_CHOICES.items():
        values[name] = generator.choice(choices)
    values["maxk"] = max(1100, min(8192, mib * 1024 // 8))
    if generator.random() < 0.3:
        values["own"] = int(mib * generator.choice([0.1, 0.3]))
    words = " ".join(f"{name}={value}" for name, value in values.items())
    return cases.Case("storm", f"churn {{seed}} {cases.STORM_SECONDS} {words}", limit=f"{mib}MiB", seconds=60)


def bytes_of(text):
    match = re.fullmatch(r"(\d+)([KMG]?)(i?B)?", text)
    if not match:
        sys.exit(f"run.py: {text} is no size, such as 64M or 64MiB")
    return int(match.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[match.group(2)]


def judge(text, status):
    """What the output of cage says about a run."""
    match = re.search(r"^cage: (exit|signal|hung) ?(\d*) kills (\d+) seconds ([\d.]+)$", text, re.M)
    if not match:
        return Run("failed", 0.0, f"cage ended with {status}: {text[-200:]}")
    how, number, kills, seconds = match.groups()
    lines = [line for line in text[:match.start()].splitlines() if line.strip()]
    if int(kills):
        outcome = "killed"
    elif how == "exit":
        outcome = ENDS.get(int(number), "failed")
    else:
        outcome = {"signal": "crashed", "hung": "hung"}[how]
    return Run(outcome, float(seconds), f"{how} {number}".strip() + ": " + " | ".join(lines[-2:]))


def command_of(case, allocator, seed, limit):
    words = case.command.format(seed=seed).split()
    settings = list(case.environment)
    if PRELOAD[allocator]:
        settings.append("LD_PRELOAD=" + PRELOAD[allocator])
    size = f"{bytes_of(limit or case.limit) >> 10}KiB"
    return [str(CAGE), size, str(case.seconds), *settings, str(BUILD / "tests/kills" / words[0]), *words[1:]]


def run_once(command, folder):
    # Programs that make files make them below TMPDIR: on a disk, since the pages of a tmpfs are the group's.
    environment = dict(os.environ, TMPDIR=folder)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env=environment, cwd=folder, check=False)
    if done.returncode == 77:
        print(done.stdout.strip())
        sys.exit(77)
    return judge(done.stdout, done.returncode)


class Log:
    """A line for each run: what it was, which build, how it ended."""

    def __init__(self, path):
        self.known = {}
        self.file = None
        self.builds = {}
        if path:
            path = pathlib.Path(path)
            for line in path.read_text().splitlines() if path.exists() else []:
                fields = line.split("\t")
                if len(fields) == 8:
                    self.known[tuple(fields[:5])] = Run(fields[5], float(fields[6]), fields[7])
            self.file = path.open("a")

    def key(self, case, allocator, seed, options):
        program = BUILD / "tests/kills" / case.command.split()[0]
        if program not in self.builds:
            self.builds[program] = hashlib.sha256(program.read_bytes()).hexdigest()[:12]
        circumstances = ("busy" if options.busy else "idle") + (" " + options.limit if options.limit else "")
        return (case.name, allocator, circumstances, str(seed), self.builds[program])

    def add(self, key, run):
        if self.file:
            detail = re.sub(r"\s+", " ", run.detail)[:300]
            self.file.write("\t".join([*key, run.outcome, f"{run.seconds:.2f}", detail]) + "\n")
            self.file.flush()


def usable(allocator):
    """Whether the loader finds an allocator; scripts/setup test installs them."""
    if not PRELOAD[allocator]:
        return True
    done = subprocess.run(["true"], env=dict(os.environ, LD_PRELOAD=PRELOAD[allocator]), stderr=subprocess.PIPE,
                          check=False)
    return not done.stderr


def run_case(name, case, allocator, options, log, folder):
    """All runs of a case with an allocator. Gives how many did not end as they should."""
    counts = collections.Counter()
    bad, failed = 0, None
    for seed in range(options.seed, options.seed + (options.runs or case.quick or 1)):
        this = case or storm_case(seed, options.limit)
        key = log.key(this, allocator, seed, options)
        run = log.known.get(key)
        command = command_of(this, allocator, seed, options.limit)
        if not run:
            run = run_once(command, folder)
            log.add(key, run)
        counts[run.outcome] += 1
        if run.outcome not in this.right:
            bad += 1
            failed = seed, command
            print(f"  {name} {allocator} seed {seed}: {run.outcome} after {run.seconds:.1f} s, {run.detail}",
                  flush=True)
    text = " ".join(f"{outcome} {counts[outcome]}" for outcome in OUTCOMES if counts[outcome])
    limit = options.limit or (case.limit if case else "any limit")
    print(f"{'ok' if not bad else 'FAILED':6} {name:24} {allocator:9} {limit:9} {sum(counts.values()):4} runs: {text}",
          flush=True)
    if bad:
        limit = f" --limit {options.limit}" if options.limit else ""
        seed = failed[0]
        print(f"  repeat the last: tests/kills/run.py --allocator {allocator}{limit} --seed {seed} --runs 1 {name}\n"
              f"    which is: cage {' '.join(failed[1][1:])}", flush=True)
    return bad


def choose(options):
    """The cases to run by name, and the names of those that are left out, with their reasons."""
    chosen, out = {}, []
    for case in cases.CASES:
        wanted = any(case.name.startswith(word) for word in options.names)
        if options.names and not wanted:
            continue
        reason = "" if options.later else case.later
        if options.quick:
            reason = reason or case.open_ or ("" if case.quick else "takes too long for --quick")
        if case.name in options.names:
            reason = ""
        if reason:
            out.append(f"{case.name}: {reason}")
        else:
            chosen[case.name] = case
    if "storm" in options.names:
        chosen["storm"] = None
    for word in options.names:
        if word != "storm" and not any(case.name.startswith(word) for case in cases.CASES):
            sys.exit(f"run.py: there is no case {word}; --list names them")
    return chosen, out


def run_all(options, chosen, allocators, folder):
    log = Log(options.log)
    bad = 0
    for name, case in chosen.items():
        for allocator in allocators:
            if case and allocator not in case.allocators:
                continue
            bad += run_case(name, case, allocator, options, log, folder)
    return bad


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--allocator", choices=[*PRELOAD, "all"], default="glibc")
    parser.add_argument("--limit")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 1))
    parser.add_argument("--log")
    for flag in ("--busy", "--later", "--quick", "--list"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if not options.runs and not options.quick:
        options.runs = 1
    return options


def main():
    options = parse()
    if options.list and options.quick: # for the guest of tests/vm/run.sh
        for case in choose(options)[0].values():
            if case.open_v2 and case.name not in options.names:
                print(f"left out on cgroup v2: {case.name}: {case.open_v2}", file=sys.stderr)
                continue
            program = "/tests/kills/" + case.command.format(seed=options.seed)
            print(case.name, case.limit, case.seconds, *case.environment, program)
        return 0
    if options.list:
        for case in cases.CASES:
            state = f"later: {case.later}" if case.later else f"open: {case.open_}" if case.open_ else "holds"
            print(f"{case.name:24} {case.limit:7} {case.command:45} {state}")
        return 0
    if not CAGE.exists():
        sys.exit(f"run.py: {CAGE} is not built")
    allocators = list(PRELOAD) if options.allocator == "all" else [options.allocator]
    missing = [allocator for allocator in allocators if not usable(allocator)]
    if missing:
        sys.exit(f"run.py: not installed: {', '.join(missing)} (scripts/setup test)")
    chosen, out = choose(options)
    loads = [subprocess.Popen([sys.executable, "-c", LOAD]) for _ in range(os.cpu_count() if options.busy else 0)]
    try:
        with tempfile.TemporaryDirectory(prefix="kills-", dir=BUILD) as folder:
            bad = run_all(options, chosen, allocators, folder)
    finally:
        for load in loads:
            load.kill()
            load.wait()
    for line in out:
        print(f"left out: {line}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
