#!/usr/bin/env bash
# The cases of tests/kills that hold today, a few runs each, with the process's malloc being glibc's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec python3 "$here/../kills/run.py" --quick
