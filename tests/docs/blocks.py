#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each fenced block of the README and of the pages of docs/ is compiled or run.

    blocks.py TREE BUILD [PAGE...]

    ```c      a program (it has a main()) is compiled and run; anything else is compiled behind tests/docs/prelude.h
    ```cpp    compiled against the headers
    ```diff   both sides are compiled: what stood there, and what is to stand there
    ```sh     run by bash in a folder of the page's own, with the built `headroom` and a pkg-config of the build; a line
              that begins with "$ " is a command, and then all others are its output, which must be what it prints.
              Figures and breaks of lines may differ: only the text around them is compared. A line "…" is any output
    ```text   and blocks without a name are shown as they are

A comment on the line before a block says more:
    <!-- block: file NAME -->          the block is also written to this file, for the commands that follow
    <!-- block: NAME=VALUE … -->       environment of a program or of commands
    <!-- block: status N -->           the exit status of a program or of commands
    <!-- block: not run: REASON -->    not even tried
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CFLAGS = ["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wno-missing-field-initializers"]
SHOWN = {"", "text"}


class Page:
    def __init__(self, tree, build, path):
        self.tree, self.build, self.path = tree, build, path
        self.failed = 0
        self.counts = {"compiled": 0, "run": 0, "not run": 0}
        self.folder = tempfile.TemporaryDirectory()
        self.work = pathlib.Path(self.folder.name)
        self.environment = {**os.environ, "PATH": f"{build}/cli:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
                            "LD_LIBRARY_PATH": f"{build}/src", "PKG_CONFIG_PATH": str(self.work / "pc"),
                            "EXAMPLES": f"{build}/examples"}
        (self.work / "examples").symlink_to(tree / "examples")
        (self.work / "pc").mkdir()
        (self.work / "pc/headroom.pc").write_text(
            f"Name: headroom\nDescription: this build\nVersion: 0.1.0\nCflags: -I{tree}/include -fexceptions\n"
            f"Libs: -L{build}/src -lheadroom\n")

    def complain(self, number, text, output=""):
        self.failed += 1
        print(f"{self.path}:{number}: {text}")
        for line in output.split("\n")[:15]:
            if line.strip():
                print(f"    {line}")

    def compile(self, code, *words):
        source = self.work / "block.c"
        source.write_text(code)
        done = subprocess.run(["gcc", *CFLAGS, f"-I{self.tree}/include", f"-I{self.tree}/tests/docs",
                               f"-I{self.tree}/adapters/compressed/include", *words, str(source),
                               *([f"-L{self.build}/src", "-lheadroom", "-pthread"] if "-o" in words else [])],
                              capture_output=True, text=True)
        return done.returncode == 0, done.stderr

    def piece(self, code):
        """As declarations and functions, or as statements of a function."""
        prelude = '#include "prelude.h"\n'
        good, _ = self.compile(prelude + code, "-fsyntax-only")
        if not good:
            good, errors = self.compile(f"{prelude}int block(void);\nint block(void)\n{{\n{code}\nreturn 0;\n}}\n",
                                        "-fsyntax-only")
            return good, errors
        return True, ""

    def run(self, command, options):
        environment = {**self.environment, **options["environment"]}
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=self.work, env=environment, timeout=120,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return None, "it did not end within two minutes"
        return done.returncode, done.stdout + done.stderr

    def of_c(self, number, code, options):
        if not re.search(r"^int main\(", code, re.M):
            good, errors = self.piece(code)
            self.counts["compiled"] += 1
            if not good:
                self.complain(number, "this C does not compile behind tests/docs/prelude.h", errors)
            return
        good, errors = self.compile(code, "-o", str(self.work / "block"))
        if not good:
            self.complain(number, "this program does not compile", errors)
            return
        self.counts["run"] += 1
        status, output = self.run([str(self.work / "block")], options)
        if status != options["status"]:
            self.complain(number, f"this program ends with {status}, not {options['status']}", output)

    def of_cpp(self, number, code, options):
        (self.work / "block.cpp").write_text(code)
        done = subprocess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{self.tree}/include",
                               "-fsyntax-only", str(self.work / "block.cpp")], capture_output=True, text=True)
        self.counts["compiled"] += 1
        if done.returncode:
            self.complain(number, "this C++ does not compile", done.stderr)

    def of_diff(self, number, code, options):
        rows = code.split("\n")
        for sign, name in (("-", "old"), ("+", "new")):
            side = "\n".join(row[1:] for row in rows if row[:1] in (" ", sign))
            good, errors = self.piece(side)
            self.counts["compiled"] += 1
            if not good:
                self.complain(number, f"the {name} side of this change does not compile", errors)

    def of_sh(self, number, code, options):
        commands, wanted = code, None
        if re.search(r"^\$ ", code, re.M):
            commands = "\n".join(row[2:] for row in code.split("\n") if row.startswith("$ "))
            wanted = "\n".join(row for row in code.split("\n") if not row.startswith("$ "))
        self.counts["run"] += 1
        status, output = self.run(["bash", "-e", "-c", commands], options)
        if status != options["status"]:
            self.complain(number, f"these commands end with {status}, not {options['status']}", output)
        elif wanted is not None and not re.fullmatch(re.escape(masked(wanted)).replace("…", ".*"), masked(output)):
            self.complain(number, "the output is another one", output)

    def check(self):
        kinds = {"c": self.of_c, "cpp": self.of_cpp, "diff": self.of_diff, "sh": self.of_sh}
        for number, kind, code, words in blocks_of(self.path):
            reason = re.match(r"not run: (.+)", words)
            if kind in SHOWN:
                continue
            if reason:
                self.counts["not run"] += 1
                print(f"{self.path}:{number}: not run: {reason.group(1)}")
            elif kind not in kinds:
                self.complain(number, f"nobody knows how to try a block of '{kind}': use c, cpp, diff, sh or text")
            else:
                name = re.search(r"file (\S+)", words)
                if name:
                    (self.work / name.group(1)).write_text(code + "\n")
                options = {"environment": dict(re.findall(r"(\b[A-Z_]+)=(\S+)", words)),
                           "status": int((re.search(r"status (\d+)", words) or [0, 0])[1])}
                kinds[kind](number, code, options)
        self.folder.cleanup()


def masked(text):
    text = re.sub(r"\d+(?:\.\d+)?", "N", text.strip())
    return re.sub(r"\s+", " ", re.sub(r"N [KMG]?i?B\b", "N B", text))


def blocks_of(path):
    """(line, language, code, words of the comment before it)"""
    lines = path.read_text().split("\n")
    start, kind, words, indent = None, "", "", 0
    for number, line in enumerate(lines, 1):
        fence = re.match(r"( *)```(\w*)\s*$", line)
        if fence and start is None:
            start, kind, indent = number, fence.group(2), len(fence.group(1))
            before = re.match(r"\s*<!-- block: (.*?) -->", lines[number - 2]) if number > 1 else None
            words = before.group(1) if before else ""
        elif fence and not fence.group(2):
            yield start, kind, "\n".join(row[indent:] for row in lines[start : number - 1]), words
            start = None


def main():
    tree, build = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    pages = [tree / "README.md", *sorted((tree / "docs").rglob("*.md"))]
    paths = [pathlib.Path(word) for word in sys.argv[3:]] or pages
    failed, totals = 0, {"compiled": 0, "run": 0, "not run": 0}
    for path in paths:
        page = Page(tree, build, path)
        page.check()
        failed += page.failed
        for name, count in page.counts.items():
            totals[name] += count
    print(f"docs: {len(paths)} pages, " + ", ".join(f"{count} blocks {name}" for name, count in totals.items()))
    return 1 if failed else 0


sys.exit(main())
