#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes unmodified programs past their limit under `headroom run`, in memory cgroups of version 1 with a real limit.

    run.py [--markdown FILE] [--only NAME]... [--build DIR]

Each program runs for each action in a group whose page cache is filled first. --markdown writes docs/programs.md.
Exit status: 0 if the kernel killed nobody and all came out as it should; 1 if not; 77 if no group can be made here.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import growers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20
END_SECONDS = 300  # long enough on a machine that is busy with other work

# name, words of headroom run, what is expected of the exit status: a set, or the attribute of the program that has it
# (growers.py)
ACTIONS = [
    ("signal", [], {0, 143}),
    ("freeze, then raised", ["--on-limit", "freeze"], {0, 143}),
    ("abort", ["--on-limit", "abort"], "aborts"),
    ("fail", ["--on-limit", "fail"], "fails"),
    ("wait", ["--on-limit", "wait", "--grace", "2s"], "fails"),
]


class Group:
    def __init__(self, mount, limit_mib):
        self.path = mount / f"headroom-programs-{os.getpid()}"
        self.path.mkdir()
        (self.path / "memory.limit_in_bytes").write_text(str(limit_mib * MIB))

    def __enter__(self):
        return self

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def fill_cache(self, folder):
        """Files that the group is charged with, half again as much as its limit."""
        size = int((self.path / "memory.limit_in_bytes").read_text()) * 3 // 2
        fill = f'head -c {size} /dev/zero >"$0"; sync "$0"; cat "$0" >/dev/null'
        subprocess.run(["sh", "-c", fill, folder / "filler"], check=True, preexec_fn=self.enter)

    def kills(self):
        return int(re.search(r"^oom_kill (\d+)", (self.path / "memory.oom_control").read_text(), re.M)[1])

    def __exit__(self, *failure):
        """What is still in it is ended first: a run that did not come to its end, or was interrupted."""
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.05)
            if time.monotonic() > end - 5:
                for pid in (self.path / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
        raise RuntimeError(f"{self.path} cannot be removed")


def wait_for(what, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def raise_limit(headroom, group, run, grower):
    """A person comes: the group around gets more, and so does the command. Returns what of its work is lost."""
    more = 3 * grower.limit_mib
    (group.path / "memory.limit_in_bytes").write_text(str(more * MIB))
    time.sleep(0.5)
    subprocess.run([headroom, "limit", "--set", f"{more - 16}M", str(run.pid)], check=True, stdout=subprocess.DEVNULL)
    if not isinstance(grower, growers.Server):
        return ""
    grower.thread.join(60)
    lost = grower.check() if grower.finished else "its load did not come to its end"
    run.send_signal(signal.SIGTERM)
    return lost


def try_one(headroom, mount, kind, action, words):
    """Gives a dict with what happened."""
    with tempfile.TemporaryDirectory(prefix="headroom-programs-") as name:
        folder = pathlib.Path(name)
        grower = kind(folder)
        command = grower.command()
        with Group(mount, grower.limit_mib) as group:
            group.fill_cache(folder)
            return try_in(group, folder, grower, [headroom, "run", *(words or grower.signal_words())], command, action)


def try_in(group, folder, grower, headroom_run, command, action):
    summary, errors = folder / "summary.json", folder / "errors"
    with errors.open("w") as log:
        run = subprocess.Popen([*headroom_run, "--summary-json", summary, "--", *command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=log, preexec_fn=group.enter)
    lost, status = "", None
    try:
        grower.drive(run.pid)
        if action.startswith("freeze"):
            if wait_for(lambda: "is frozen at" in errors.read_text(), 60):
                lost = raise_limit(headroom_run[0], group, run, grower)
            else:
                lost = "it was never frozen"
        elif action in ("fail", "wait") and isinstance(grower, growers.Server):
            grower.thread.join(60)
            run.send_signal(getattr(signal, f"SIG{grower.ends}"))
        status = run.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        lost = f"it did not end in {END_SECONDS} s"
    finally:
        run.kill()
        run.wait()
    result = json.loads(summary.read_text() or "{}") if summary.exists() else {}
    kills = group.kills() + result.get("kernel_kills", 0)
    result.update(status=status, lost=lost, kills=kills, text=errors.read_text())
    return result


def describe(result):
    actions = [f"{each['action']} at {each['use_bytes'] / MIB:.0f} MiB" for each in result.get("actions", [])
               if each["trigger"] != "limit --set"]
    figures = result.get("heap_figures")
    if figures and figures["programs"]:
        actions.append(f"{result['refusals']} refused at {figures['charged_peak_bytes'] / MIB:.0f} MiB")
    return f"{'; '.join(actions) or 'nothing'}: {result['status']}"


def memory_mount():
    """Where groups of version 1 can be made; None: nowhere."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, words, *_ = line.split()
        if kind == "cgroup" and "memory" in words.split(",") and os.geteuid() == 0 and os.access(folder, os.W_OK):
            return pathlib.Path(folder)
    return None


HEAD = """# Unmodified programs under `headroom run`

Made by `make programs` (`tests/programs/run.py`); nothing here is written by hand.

Each program stands in a memory cgroup (version 1) of its own with the limit in the table. The group's page cache is
filled first, and the program grows past the limit by up to 400 MB/s. Five ways to meet it:

- **signal**: `headroom run -- PROGRAM`, the default: SIGTERM at level critical, SIGKILL after ten seconds. (For
  postgres `--at critical=signal:INT`: after SIGTERM it waits for its clients, by its own rules.)
- **freeze, then raised**: `--on-limit freeze`; then the group's limit is raised, `headroom limit --set` raises the
  command's, and the program goes on. Servers are asked for all that they had acknowledged, and ended by SIGTERM.
- **abort**: `--on-limit abort`: SIGABRT at the limit, to the program and all that it started. A handler that needs
  more memory than there is, such as a crash report, is ended by SIGKILL after the grace. Go's runtime writes what every
  goroutine does and exits with 2.
- **fail**: `--on-limit fail`, with a limit of three quarters: the program's own malloc gives NULL, and the program does
  what it does then. python3 says MemoryError, perl says "Out of memory!", and sort finishes with smaller pieces.
  Where nothing can be loaded into it (a static program, Go) the watch ends it by SIGTERM.
- **wait**: `--on-limit wait --grace 2s`: the same after two seconds, since nobody gives memory back here.

A cell has what was done, at which use, and the exit status. "Killed" counts kills by the kernel, of all five. redis
aborts at the end of an out-of-memory report of its own where it gets NULL: for it `--on-limit freeze`, or its own
`maxmemory`, is better. The memory test in that report writes to all pages that are mapped, and so passes the group's
limit: it is off here (`crash-memcheck-enabled no`). With it the command's SIGTERM and SIGKILL end redis: 137.

| program | limit | signal | freeze, then raised | abort | fail | wait | killed | lost |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--markdown")
    parser.add_argument("--only", action="append")
    parser.add_argument("--build", default=os.environ.get("HEADROOM_BUILD_DIR", ROOT / "build/release"))
    options = parser.parse_args()
    headroom = pathlib.Path(options.build).resolve() / "cli/headroom"
    mount = memory_mount()
    if not mount:
        print("skipped: no memory cgroup of version 1 can be made here")
        return 77
    rows, failed = [], False
    for kind in growers.ALL:
        if options.only and kind.name not in options.only:
            continue
        cells, kills, lost = [], 0, []
        for action, words, expected in ACTIONS:
            if kind.only and action not in kind.only:
                cells.append("-")
                continue
            if isinstance(expected, str):
                if expected == "fails":
                    words = ["--limit", f"{kind.limit_mib * 3 // 4}M", *words]
                expected = getattr(kind, expected)
            try:
                result = try_one(headroom, mount, kind, action, words)
            except growers.Missing as missing:
                cells.append(f"left out: {missing}")
                print(f"{kind.name}: left out: {missing}", flush=True)
                continue
            if action in ("fail", "wait") and kind.says not in result["text"]:
                result["lost"] = result["lost"] or f"its own words, '{kind.says}'"
            kills += result["kills"]
            lost += [result["lost"]] if result["lost"] else []
            cells.append(describe(result))
            fine = result["status"] in expected and not result["kills"] and not result["lost"]
            failed |= not fine
            print(f"{kind.name}: {action}: {cells[-1]}{'' if fine else ' WRONG ' + result['lost']}", flush=True)
            if not fine:
                print(result["text"])
        losses = "; ".join(lost) or "nothing"
        rows.append(f"| {kind.name} | {kind.limit_mib} MiB | {' | '.join(cells)} | {kills} | {losses} |")
    if options.markdown:
        pathlib.Path(options.markdown).write_text(HEAD + "\n".join(rows) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
