# SPDX-License-Identifier: Apache-2.0
"""What mkdocs does beside the pages in docs/: the reference from the headers, and links that lead out of docs/.

In a checkout a page may point at a source file by ../src/… . On the site there is no such file, so the link becomes its
text. The reference is made anew for each build, and lies in no folder of the tree.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
made = None


def is_outside(page, link):
    return not (ROOT / "docs" / pathlib.Path(page).parent / link).resolve().is_relative_to(ROOT / "docs")


def on_files(files, config):
    global made
    made = tempfile.TemporaryDirectory()
    headers = sorted(ROOT.glob("include/headroom/*.h")) + sorted(ROOT.glob("adapters/*/include/headroom/*.h"))
    headers = [path for path in headers if path.name not in ("headroom.h", "pool_inline.h")]
    folder = pathlib.Path(made.name) / "reference"
    subprocess.run([sys.executable, ROOT / "scripts/reference", "--markdown", folder, *headers], check=True)
    for path in sorted(folder.glob("*.md")):
        files.append(File(f"reference/{path.name}", made.name, config["site_dir"], config["use_directory_urls"]))
    for file in [file for file in files if file.src_path.startswith("man/")]:
        files.remove(file)  # man(1) shows them
    return files


def on_page_markdown(markdown, page, config, files):
    return re.sub(r"\[([^\]]*)\]\(((?:\.\./)+[^)#]*)[^)]*\)",
                  lambda match: match.group(1) if is_outside(page.file.src_path, match.group(2)) else match.group(0),
                  markdown)


def on_post_build(config):
    made.cleanup()
