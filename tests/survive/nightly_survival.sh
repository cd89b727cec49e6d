#!/usr/bin/env bash
# As survival.sh, longer.
set -euo pipefail
COUNT=${COUNT:-20} exec bash "$(dirname "${BASH_SOURCE[0]}")/survival.sh"
