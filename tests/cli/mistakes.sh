#!/usr/bin/env bash
# Every flag of every verb with the mistakes that people make. The flags come from --help, so a new one without a line
# in the table below fails.
#
# The table has, for each flag with a value, right values, which are accepted, and wrong ones. `shown` are parts of
# right ones. Tried with each flag: no value, an empty value, a wrong value, a value at each bound and over it, the flag
# twice, a value where none belongs. A message names the flag and one of the right values, and the exit status is that
# of a wrong option.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}"
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
[ -x "$HEADROOM_BUILD_DIR/cli/headroom" ] || { echo "skipped: the headroom command is not built here"; exit 77; }
exec python3 - "$HEADROOM_BUILD_DIR/cli/headroom" "$HEADROOM_BUILD_DIR/examples/store/headroom-store" <<'PYTHON'
import concurrent.futures
import os
import re
import subprocess
import sys

headroom, store = sys.argv[1:]
pid = {"right": ["4711", "1", "2147483647"],
       "wrong": ["0", "-1", "2147483648", "self", "4711x", "99999999999999999999"]}
share = {"right": ["0.85", "1", "0.0001"], "wrong": ["0", "-0.1", "1.01", "85%", "nan", "x"]}
address = {"right": ["127.0.0.1:9464"], "wrong": [], "late": ["x", "127.0.0.1:65536", "127.0.0.1:"]}
text = lambda *right: {"right": list(right), "wrong": []}

# By flag: values. `late` ones are refused only once the rest of the line is known to be right.
verbs = {
    "doctor": {"--collect": text("/tmp/report"), "--pid": pid, "--root": text("/mnt/snapshot")},
    "limit": {
        "--percent": {"right": ["1", "100"], "wrong": ["0", "101", "7.5", "-1", "50%", "x"]},
        "--pid": pid,
        "--set": {"right": ["400M", "1"], "wrong": ["0", "x", "-1", "50%", "16E", "99999999999999999999"]},
        "--unit": {"right": ["MiB", "B", "KiB", "GiB"], "wrong": ["kB", "mib", "MB", "x"]},
    },
    "report": {"--output": text("/tmp/report.html")},
    "run": {
        "--at": {
            "right": ["critical=signal:TERM", "400M=log", "85%=purge", "warning=freeze", "0.1%=log",
                      "100%=exec:'logger memory is short'"],
            "shown": ["critical=signal:TERM", "signal:TERM", "such as 400M", "exec:'logger memory is short'", "purge"],
            "wrong": ["critical", "critical=", "=log", "x=log", "0%=log", "101%=log", "0=log", "critical=x",
                      "critical=signal:", "critical=signal:X", "critical=signal:0", "critical=exec:", "normal=log"],
        },
        "--grace": {"right": ["10s", "0", "500ms", "2m", "8760h"], "wrong": ["x", "-1", "1d", "8761h", "1e3"]},
        "--http": address,
        "--limit": {
            "right": ["400M", "90%", "100%", "0.1%"],
            "wrong": ["0", "x", "-1", "0%", "101%", "16E", "99999999999999999999"],
            "late": ["1"],
        },
        "--on-limit": {"right": ["term", "freeze", "abort", "fail", "wait"], "wrong": ["x", "kill", "TERM"]},
        "--pid": pid,
        "--report": text("/var/tmp/history"),
        "--summary-json": text("/tmp/summary.json", "-"),
    },
    "top": {
        "--filter": text("redis"),
        "--sort": {"right": ["share", "use", "rate", "full", "level", "name", "pid"], "wrong": ["x", "Use", "cpu"]},
    },
}
store_flags = {
    "--critical-at": share, "--degrade-at": share, "--pinned-share": share, "--recover-below": share,
    "--warn-at": share,
    "--history": text("/var/lib/store/history"),
    "--interval-ms": {"right": ["1", "3600000"], "wrong": ["0", "3600001", "-1", "1s", "99999999999999999999"]},
    "--limit": {"right": ["100MiB", "4MiB"], "wrong": ["0", "4194303", "x", "-1", "50%", "16E"]},
    "--listen": {"right": ["127.0.0.1:8080", "[::1]:8080", "127.0.0.1:0", "127.0.0.1:65535"],
                 "wrong": ["x", "127.0.0.1", ":8080", "127.0.0.1:65536", "127.0.0.1:-1"]},
    "--max-connections": {"right": ["1", "100000"], "wrong": ["0", "100001", "-1", "x", "99999999999999999999"]},
    "--page": address,
}
# Words that make a line whole, which would do something if its flags were right.
whole = {"report": ["/dev/null"], "run": ["--", "true"], "top": ["--once"], "store": ["--listen", "127.0.0.1:0"]}
# Lines with too many, too few or contradicting words, and what their messages have to name.
lines = [
    ("", "headroom doctor"),
    ("nonsense", "headroom help"),
    ("help nonsense", "headroom help"),
    ("help run top", "headroom help"),
    ("doctor extra", "--pid 4711"),
    ("doctor --watch --collect /tmp/report", "--watch"),
    ("limit extra", "--set 400M PID"),
    ("limit --set 400M", "--set 400M 4711"),
    ("limit --set 400M x", "4711"),
    ("limit --set 400M 1 2", "--set 400M"),
    ("limit --set 400M --percent 5 1", "--set 400M 4711"),
    ("limit --set 400M --pid 1 1", "--set 400M PID"),
    ("report", "headroom report /"),
    ("report a b", "--html"),
    ("report --html a b c d e", "4"),
    ("report --json --csv a", "--json, --csv and --html"),
    ("run", "headroom run -- ./server"),
    ("run --pid 1 true", "--pid"),
    ("run --pid 1 --on-limit fail", "--on-limit fail"),
    ("run " + "--at 400M=log " * 33 + "true", "--at"),
    ("top extra", "--filter redis"),
]
store_lines = [
    ("extra", "--limit 100MiB"),
    ("--unguarded --limit 100MiB", "--limit"),
    ("--warn-at 0.95 --degrade-at 0.9", "--warn-at <= --degrade-at"),
]

failed = 0
lines_to_try = []


def bad(message):
    global failed
    failed = 1
    print(f"mistakes: {message}")


def run(words):
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("HEADROOM_LIMIT", None)
    try:
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                               env=environment, close_fds=False)
    except subprocess.TimeoutExpired:
        return None, "it does not end"
    return ended.returncode, " ".join(ended.stderr.split())


def check(words, statuses, flag, examples):
    """The line ends with one of the statuses, and its message names the flag and one of the examples."""
    status, said = run(words)
    line = " ".join(words[0].rsplit("/", 1)[-1:] + words[1:])
    message = said.split("Try `")[0]
    if status not in statuses:
        bad(f"'{line}' ends with {status}: {said}")
    if flag not in message:
        bad(f"'{line}' does not name {flag}: {said}")
    if examples and not any(example in message for example in examples):
        bad(f"'{line}' names none of {examples}: {said}")


def refused(*line):
    lines_to_try.append(line)


def flags_of(command):
    """From --help: each long flag, and whether it takes a value; its short form."""
    text = subprocess.run(command + ["--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^ +(?:(-\S), )?(--[a-z-]+)(=\S+)?", text, re.M)


def try_command(name, command, table, usage):
    flags = flags_of(command)
    with_value = {flag for _, flag, value in flags if value}
    for flag in with_value ^ set(table):
        bad(f"'{name} {flag}' is {'not in this table' if flag in with_value else 'no flag'}")
    if len(flags) < 3:
        bad(f"'{name} --help' shows {flags}")
    tail = whole.get(name, [])
    refused(command + ["--nonsense"] + tail, {usage}, "--nonsense", [])
    for short, flag, value in flags:
        if flag not in table:
            refused(command + [f"{flag}=x"] + tail, {usage}, flag, [])
            if flag not in ("--help", "--usage", "--version"):
                refused(command + [flag, flag, "--nonsense"], {usage}, "--nonsense", [])
            continue
        row = table[flag]
        shown = row.get("shown", row["right"])
        refused(command + [flag], {usage}, flag, shown)
        if short:
            refused(command + [short], {usage}, flag, shown)
        for wrong in ["", *row["wrong"]]:
            refused(command + [f"{flag}={wrong}"] + tail, {usage}, flag, shown)
        for late in row.get("late", []):
            refused(command + [f"{flag}={late}"] + tail, {usage, 1}, flag, shown)
        rights = [word for right in row["right"] for word in (flag, right, f"{flag}={right}")]
        refused(command + rights + ["--nonsense"], {usage}, "--nonsense", []) # the last word alone is a mistake


summaries = subprocess.run([headroom, "--help"], capture_output=True, text=True, check=True).stdout
names = set(re.findall(r"^  ([a-z]+) +\S", summaries, re.M)) - {"help"}
if names != set(verbs):
    bad(f"the verbs are {sorted(names)}")
for name in names & set(verbs):
    try_command(name, [headroom, name], verbs[name], 125 if name == "run" else 2)
for words, named in lines:
    refused([headroom, *words.split()], {125} if words.startswith("run") else {2}, named, [])
refused([headroom, "--nonsense"], {2}, "--nonsense", [])
if os.access(store, os.X_OK):
    try_command("store", [store], store_flags, 2)
    for words, named in store_lines:
        refused([store, *words.split()], {2}, named, [])
else:
    print("not tried: headroom-store is not built")
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(lambda line: check(*line), lines_to_try))
print(f"{len(lines_to_try)} lines were tried")
sys.exit(failed)
PYTHON
