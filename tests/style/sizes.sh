#!/usr/bin/env bash
# Functions fit one screen (70 lines) and take five parameters at most; files stay below 700 lines. That they aim at
# 400 is reported, and is no failure.
#
#   sizes.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

exec python3 - <<'PYTHON'
import pathlib
import re
import sys

LINES_OF_FUNCTION = 70
LINES_OF_FILE = 700
LINES_AIMED_AT = 400
PARAMETERS = 5
FOLDERS = ["include", "src", "cli", "run", "examples", "adapters", "integrations", "bench", "fuzz", "tests"]
WORDS = {"if", "for", "while", "switch", "return", "sizeof", "_Alignof", "_Static_assert", "__attribute__", "defined",
         "__typeof__", "typeof"}
# Names that the contract with programs fixes, with one more than that.
FIXED = {"hr_cache_put", "hr_cache_reserve", "mmap", "mmap64", "hri_raw_mmap"}

bad = False


def offence(path, number, text):
    global bad
    bad = True
    print(f"{path}:{number}: {text}")


def blank(match):
    """Spaces for what is no code, with its line ends, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def closing(code, at, opening, close):
    """Where what opens at `at` is closed."""
    depth = 0
    for index in range(at, len(code)):
        if code[index] == opening:
            depth += 1
        elif code[index] == close:
            depth -= 1
            if depth == 0:
                return index
    return len(code) - 1


def parameters_of(text):
    """How many commas are on the outer level, plus one."""
    text = text.strip()
    if text in ("", "void"):
        return 0
    depth = 0
    count = 1
    for character in text:
        depth += character in "([{"
        depth -= character in ")]}"
        count += character == "," and depth == 0
    return count


def check(path):
    text = path.read_text()
    total = text.count("\n")
    if path.suffix == ".c":
        if total > LINES_OF_FILE:
            offence(path, total, f"{total} lines: a file has at most {LINES_OF_FILE}, so split it by idea")
        elif total > LINES_AIMED_AT:
            print(f"note: {path} has {total} lines; files aim at {LINES_AIMED_AT}")
    code = code_of(text)
    # extern "C" { } is no scope of its own here
    code = re.sub(r'extern\s+\{', lambda m: " " * len(m.group(0)), code)
    at = 0
    while True:
        # Outside of any braces: a name and a parameter list, then a body or a semicolon.
        match = re.compile(r"\b([A-Za-z_]\w*)\s*\(|\{").search(code, at)
        if not match:
            return
        if match.group(0) == "{":
            at = closing(code, match.start(), "{", "}") + 1
            continue
        name = match.group(1)
        open_at = match.end() - 1
        close_at = closing(code, open_at, "(", ")")
        at = close_at + 1
        if name in WORDS or name.isupper():
            continue
        number = code.count("\n", 0, match.start()) + 1
        count = parameters_of(code[open_at + 1 : close_at])
        body = re.compile(r"\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?([{;])").match(code, close_at + 1)
        if not body:
            continue
        # A function that leaves a parameter unused, and says so first, has its signature from who calls it back.
        called_back = re.compile(r"\s*\{\s*\(void\)").match(code, close_at + 1)
        if count > PARAMETERS and not called_back and name not in FIXED:
            offence(path, number, f"{name}() takes {count} parameters: {PARAMETERS} at most, then an options struct")
        if body.group(1) == "{":
            begin = code.rfind("\n", 0, match.start()) + 1
            end = closing(code, body.end() - 1, "{", "}")
            lines = code.count("\n", begin, end) + 1
            if lines > LINES_OF_FUNCTION:
                offence(path, number,
                        f"{name}() has {lines} lines: {LINES_OF_FUNCTION} at most, so that it fits a screen")
            at = end + 1


for folder in FOLDERS:
    for path in sorted(pathlib.Path(folder).rglob("*.[ch]")):
        check(path)
sys.exit(bad)
PYTHON
