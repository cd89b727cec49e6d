#!/usr/bin/env bash
# One short trial for slow machines, such as a virtual one without hardware support: few connections, small objects.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../survive/_common.sh disable=SC1091
source "$here/../survive/_common.sh"

trial "a slow machine" --limit 48 -- --connections 8 --min-size 4KiB --max-size 512KiB --total-bytes 192MiB \
    --max-seconds 60 --seed "${SEED:-1}"
finish
