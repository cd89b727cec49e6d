#!/usr/bin/env python3
"""The words around the code: line length, phrases that are not to be used, and the length of sentences.

    words.py TREE       prints each offence as PATH:LINE: text, and ends with 1 if there is one

Prose is the comments of sources and scripts, the paragraphs of documents, and the text of man pages. Code, tables and
headings are no prose. Four rules: columns, phrases, subjects and sentences.
"""
import pathlib
import re
import sys

COLUMNS = 120
WORDS = 30
FOLDERS = ["include", "src", "cli", "run", "examples", "adapters", "integrations", "bench", "fuzz", "tests", "docs",
           "scripts", "cmake", ".ci", "schemas", "debian", "web"]
# Corpora and fixtures are inputs as they come; the others are made by tools or belong to somebody else.
NOT_OURS = re.compile(r"(^|/)(corpus|fixtures|node_modules|dist|build|__pycache__)/|package-lock\.json$|words\.py$")
C_LIKE = {".c", ".h", ".cpp", ".hpp", ".js", ".ts", ".css"}
HASHES = {".sh", ".py", ".cmake", ".bash", ".zsh", ".fish", ".yml", ".yaml", ".map"}
PLAIN = {"Makefile", "CMakeLists.txt", "rules", "Dockerfile", "Doxyfile"}

# A phrase that reads as a riddle, and words that say the same plainly.
DENIED = [
    (r"\bbut for\b", "except, or without"),
    (r"\bso many\b", "say how many"),
    (r"\balso where\b", "even where, or a sentence of its own"),
    (r"\bas far as\b", "where, or as long as"),
    (r"\b(?:may|can|could|to) be had\b", "is available"),
    (r"\bthe same of\b", "repeat the noun"),
    (r"\bspoken for\b", "granted"),
    (r"\blimits? (?:is|are|was|were|will be) met\b", "reached, or a limit hit: a charge was refused by this limit"),
    (r"\bmeets? (?:the|its|a) limit\b", "reach the limit"),
    (r"\b(?:bytes|pages|memory) (?:(?:that )?(?:is|are) )?(?:to come|coming)\b", "pending"),
    (r"\bothers' (?:bytes|pages|memory)\b", "foreign"),
    (r"\b(?:sure|blind) (?:bytes|room)\b", "lease"),
    (r"\bsights?\b", "sample, reading or snapshot"),
    (r"\bfrom there on also\b", "from then on"),
    (r"\b(?:is|are|was|were|be) said\b", "name the subject: a line says, the report lists"),
]
# "What is held" names no subject. A question may begin so, and so may a heading.
NOUN = re.compile(r"^(What|Who|Whoever)\b(?! (?:if|about)\b)")
END = re.compile(r"[.!?](?:[\"')\]*]*)(?=\s|$)")

bad = False


def complain(path, number, text):
    global bad
    bad = True
    print(f"{path}:{number}: {text}")


def comment_paragraphs(rows):
    """Paragraphs of a comment: (line, text). Rows that are indented or in columns are no prose, and end a paragraph."""
    start, words = None, []
    for number, row in rows:
        text = row.strip()
        field = re.match(r"(returns|threads|memory|cost|undo|params?)\s{2}", text)
        indent = len(row) - len(row.lstrip())
        is_table = re.search(r"\S\s{2,}\S", text) and not field
        is_code = is_table or (indent >= 4 and not (words and field_open))
        if not text or is_code or field or re.match(r"[-*•|+] |──|\d+\. ", text):
            if words:
                yield start, " ".join(words)
            start, words = None, []
        if not text or is_code or text.startswith(("|", "──", "+-")):
            field_open = False
            continue
        if start is None:
            start, field_open = number, bool(field)
        words.append(re.sub(r"^(returns|threads|memory|cost|undo)\s{2,}", "", text))
    if words:
        yield start, " ".join(words)


def of_c(text):
    for match in re.finditer(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', text, re.S):
        body = match.group(0)
        if body[0] in "\"'":
            continue
        first = text.count("\n", 0, match.start()) + 1
        body = body[2:-2] if body.startswith("/*") else body[2:]
        rows = [(first + i, re.sub(r"^\s*\* ?", "", row) if i else row.strip("*").strip())
                for i, row in enumerate(body.split("\n"))]
        # The rows of a comment behind code are indented as the first one is, without a star.
        if not re.search(r"\n\s*\*", body):
            rows = [(number, row.strip()) for number, row in rows]
        yield from comment_paragraphs(rows)


def of_hashes(text):
    rows = []
    for number, line in enumerate(text.split("\n") + [""], 1):
        match = re.match(r"\s*#(?!!)( ?)(.*)", line)
        if match:
            rows.append((number, match.group(2)))
        elif rows:
            yield from comment_paragraphs(rows)
            rows = []


def of_markdown(text):
    start, words, fenced = None, [], False
    for number, line in enumerate(text.split("\n") + [""], 1):
        row = line.strip()
        fence = row.startswith("```")
        item = re.match(r"([-*+]|\d+\.)\s+|\?\?\? |!!! |<!--", row)
        skip = fenced or fence or row.startswith(("|", "#", "---", "===")) or (line.startswith("    ") and not words)
        if not row or skip or item:
            if words:
                yield start, " ".join(words)
            start, words = None, []
        if fence:
            fenced = not fenced
        if not row or skip:
            continue
        start = start or number
        words.append(re.sub(r"^([-*+]|\d+\.)\s+", "", row))
    if words:
        yield start, " ".join(words)


def of_man(text):
    start, words, literal = None, [], False
    for number, line in enumerate(text.split("\n") + [".PP"], 1):
        macro = re.match(r"[.']\s*([A-Za-z\\\"]+)\s*(.*)", line)
        name = macro.group(1) if macro else ""
        if name in ("nf", "TS", "EX"):
            literal = True
        inline = name in ("B", "I", "BR", "RB", "IR", "RI", "BI", "IB", "R", "SM", "SB")
        if not line.strip() or (macro and not inline):
            if words:
                yield start, " ".join(words)
            start, words = None, []
        elif not literal:
            start = start or number
            piece = macro.group(2) if macro else line
            if macro and name in ("BR", "IR", "RB", "RI", "BI", "IB"):
                piece = re.sub(r"\s+", "", piece)
            words.append(piece.replace('"', "").replace("\\-", "-").replace("\\fR", "").replace("\\&", ""))
        if name in ("fi", "TE", "EE"):
            literal = False


def kind_of(path, text):
    if re.fullmatch(r"\.[1-8]", path.suffix):
        return of_man
    if path.suffix in C_LIKE:
        return of_c
    if path.suffix == ".md":
        return of_markdown
    if path.suffix in HASHES or path.name in PLAIN or not path.suffix and text.startswith("#!"):
        return of_hashes
    return None


def check_lines(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS and not (path.suffix == ".md" and line.lstrip().startswith("|")):
            complain(path, number, f"{len(line)} columns: {COLUMNS} at most")


def check_prose(path, paragraphs):
    for number, text in paragraphs:
        text = re.sub(r"`[^`]*`", "CODE", text)
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
        for pattern, instead in DENIED:
            match = re.search(pattern, text, re.I)
            if match:
                complain(path, number, f"\"{match.group(0)}\" is not plain: {instead}")
        at = 0
        for end in list(END.finditer(text)) + [None]:
            sentence = text[at : end.end() if end else len(text)].strip()
            at = end.end() if end else len(text)
            words = [word for word in sentence.split() if re.search(r"\w", word)]
            begins = " ".join(words[:5])
            if NOUN.match(sentence) and sentence[-1:] != "?" and len(words) > 3:
                complain(path, number, f"\"{begins} …\" names no subject: say which thing or which thread")
            if len(words) > WORDS:
                complain(path, number, f"a sentence of {len(words)} words, {WORDS} at most: \"{begins} …\"")


def main(tree):
    files = [path for path in pathlib.Path(tree).glob("*") if path.is_file()]
    for folder in FOLDERS:
        files += [path for path in (pathlib.Path(tree) / folder).rglob("*") if path.is_file()]
    for path in sorted(files):
        name = path.relative_to(tree)
        text = path.read_text(errors="replace")
        kind = kind_of(name, text)
        if kind and not NOT_OURS.search(str(name)):
            check_lines(name, text)
            check_prose(name, kind(text))
    return 1 if bad else 0


sys.exit(main(sys.argv[1]))
