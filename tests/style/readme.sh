#!/usr/bin/env bash
# The C that the README shows is C that is compiled and run: each ```c block stands, line by line, in a file of
# examples/.
#
#   readme.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

exec python3 - <<'PYTHON'
import pathlib
import sys

examples = [path.read_text().splitlines() for path in pathlib.Path("examples").rglob("*.c")]


def stands_in(block, lines):
    return any(lines[at : at + len(block)] == block for at in range(len(lines) - len(block) + 1))


bad = False
readme = pathlib.Path("README.md")
lines = readme.read_text().splitlines() if readme.exists() else []
start = None
for number, line in enumerate(lines, 1):
    if start is None and line.strip() == "```c":
        start = number
    elif start is not None and line.strip() == "```":
        block = lines[start : number - 1]
        if not any(stands_in(block, example) for example in examples):
            bad = True
            print(f"README.md:{start}: this C is in no file of examples/, so nobody compiles it: copy it from there")
        start = None
sys.exit(bad)
PYTHON
