#!/usr/bin/env bash
# Lists in documents have all that there is: headers in headroom.7, targets of make in CONTRIBUTING.md, the files of a
# room in its README, ids of findings in survey.h. And man pages have a date.
#
#   docs.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

exec python3 - <<'PYTHON'
import pathlib
import re
import sys

bad = False


def complain(path, what):
    global bad
    bad = True
    print(f"{path}:1: {what}")


def lists(path, names, pattern):
    page = pathlib.Path(path)
    text = page.read_text() if page.exists() else None
    for name in names:
        if text is not None and not re.search(pattern.format(re.escape(name)), text, re.M):
            complain(path, f"{name} is not listed")


for page in pathlib.Path("docs/man").glob("*.[1-8]"):
    if not re.search(r'^\.TH \S+ \d "\d{4}-\d\d-\d\d" ', page.read_text(), re.M):
        complain(page, "there is no date in its .TH")

# The header of all headers, and what pool.h includes of itself, are nobody's reference.
headers = {header.name for header in pathlib.Path("include/headroom").glob("*.h")} - {"headroom.h", "pool_inline.h"}
lists("docs/man/headroom.7", sorted(headers), r"^\.I {}$")

makefile = pathlib.Path("Makefile")
phony = re.search(r"^\.PHONY: (.*)$", makefile.read_text(), re.M) if makefile.exists() else None
targets = set(phony[1].split()) - {"release"} if phony else set()
lists("CONTRIBUTING.md", sorted(targets), r"^\|.*`make {}`")

for readme in pathlib.Path("src").glob("*/README.md"):
    files = sorted(file.name for file in readme.parent.glob("*.c"))
    if any(f"`{name}`" in readme.read_text() for name in files):
        lists(readme, files, r"`{}`")

ids = {found for source in pathlib.Path("src").glob("*/*.c")
       for found in re.findall(r'hri_findings_note\(\s*[^,]+,\s*"([^"]+)"', source.read_text())}
lists("include/headroom/survey.h", sorted(ids), r'"{}"')
sys.exit(bad)
PYTHON
