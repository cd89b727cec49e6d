#!/usr/bin/env bash
# The words around the code: lines of at most 120 columns, plain phrases, sentences with a subject and of at most 30
# words, in comments, documents and man pages. words.py has the rules.
#
#   words.sh [TREE]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/words.py" "${1:-${HEADROOM_SOURCE_DIR:-$here/../..}}"
