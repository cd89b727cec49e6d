#!/usr/bin/env bash
# Randomised short trials: COUNT of them (default 3), everything about them drawn from SEED (default: a random one).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=_common.sh disable=SC1091
source "$here/_common.sh"

seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
echo "SEED=$seed"
RANDOM=$((seed % 32768))

between() { # low high: sets REPLY (a subshell would draw from a copy of the generator)
    REPLY=$(($1 + (RANDOM * 32768 + RANDOM) % ($2 - $1 + 1)))
}

for ((i = 1; i <= ${COUNT:-3}; i++)); do
    between 48 160 && limit=$REPLY
    between 2 96 && connections=$REPLY
    between 1 256 && min_kib=$REPLY
    between $((min_kib * 2)) 6144 && max_kib=$REPLY
    between 30 75 && cache=$REPLY
    between 5 25 && pinned=$REPLY
    between 0 30 && vanish=$REPLY
    options=(--connections "$connections" --min-size "${min_kib}KiB" --max-size "${max_kib}KiB"
        --cache "0.$(printf %02d "$cache")" --pinned "0.$(printf %02d "$pinned")" --vanish "0.$(printf %02d "$vanish")"
        --total-bytes "$((limit * 5))MiB" --max-seconds 5 --seed "$seed$i")
    between 0 1 && [ "$REPLY" = 0 ] || options+=(--burst)
    between 0 3 && [ "$REPLY" != 0 ] || options+=(--no-length)
    server=()
    between 0 2
    case $REPLY in
    0) server=(--server --warn-at=0.93 --server --degrade-at=0.97 --server --recover-below=0.93) ;;
    1) server=(--server --warn-at=0.6 --server --degrade-at=0.7 --server --recover-below=0.6) ;;
    esac
    trial "run $i: ${options[*]} ${server[*]}" --limit "$limit" ${server[@]+"${server[@]}"} -- "${options[@]}"
done
finish
