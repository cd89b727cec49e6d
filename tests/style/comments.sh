#!/usr/bin/env bash
# Every public function stands directly below its comment, which begins with at least one sentence.
#
#   comments.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

exec python3 - <<'PYTHON'
import pathlib
import re
import sys

# A function that programs call: exported, or an inline one of the headers. Names that end in _ are the library's own.
FUNCTION = re.compile(r"^(?:HR_(?:INLINE_)?API\b|static inline\b)(?P<rest>.*)")
FIELDS = re.compile(r"^\s*(returns|threads|memory|cost|undo)\b  ")

bad = False


def offence(path, number, text):
    global bad
    bad = True
    print(f"{path}:{number}: {text}")


def comment_above(lines, index):
    """The text of the comment that ends on the line before `index`; None if there is none."""
    end = index - 1
    if end < 0 or not lines[end].rstrip().endswith("*/"):
        return None
    start = end
    while start > 0 and "/*" not in lines[start]:
        start -= 1
    text = "\n".join(lines[start : end + 1]).strip()
    return re.sub(r"^[ \t]*\*[ \t]?", "", text[2:-2], flags=re.M)


for path in sorted(pathlib.Path("include").rglob("*.h")):
    lines = path.read_text().splitlines()
    for index, line in enumerate(lines):
        match = FUNCTION.match(line)
        if not match:
            continue
        declaration = " ".join(lines[index : index + 8])
        name = re.search(r"\b(hr_\w+)\(", declaration)
        if not name or name.group(1).endswith("_"):
            continue
        name = name.group(1)
        text = comment_above(lines, index)
        if text is None:
            offence(path, index + 1, f"{name}() has no comment directly above it: say in a sentence what it does")
            continue
        prose = []
        for row in text.splitlines():
            if FIELDS.match(row):
                break
            prose.append(row.strip())
        if not re.search(r"\w+ .*\w+.*[.:;]", " ".join(prose)):
            offence(path, index + 1, f"the comment of {name}() has no sentence: begin it with what the function does")

sys.exit(bad)
PYTHON
