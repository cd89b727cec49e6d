#!/usr/bin/env bash
# `headroom help`, -h, and the completions of three shells: every flag that --help shows is completed, and every verb.
# Functions are called by their names, put together.
# shellcheck disable=SC2317
set -euo pipefail
# shellcheck source=tests/cli/_common.sh
source "$(dirname "$0")/_common.sh"
trap 'rm -rf "$work"' EXIT
PATH=$(dirname "$headroom"):$PATH

run 0 help
says out "Verbs:"
verbs=$(sed -nE 's/^  ([a-z]+) +.+$/\1/p' "$work/out")
[ "$(wc -w <<<"$verbs")" -ge 5 ] || bad "it lists only $verbs"
cp "$work/out" "$work/help"
for words in -h --help; do
    run 0 "$words"
    cmp -s "$work/out" "$work/help" || bad "headroom $words says something else than headroom help"
done
run 2 help bogus
says errors "'bogus' is no verb"
run 2 help run more

declare -A flags
for verb in $verbs; do
    [ "$verb" != help ] || continue
    run 0 "$verb" --help
    cp "$work/out" "$work/help"
    flags[$verb]=$(sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p' "$work/help")
    grep -qx -- --help <<<"${flags[$verb]}" || bad "its --help names no --help"
    lines=$(wc -l <"$work/help")
    [ "$lines" -le 24 ] || bad "'headroom $verb --help' has $lines lines: a screen has 24"
    if grep -nE '.{81}| $' "$work/help"; then bad "'headroom $verb --help' has a line that is too wide"; fi
    for words in "$verb -h" "help $verb"; do
        # shellcheck disable=SC2086 # words
        run 0 $words
        cmp -s "$work/out" "$work/help" || bad "'headroom $words' says something else than --help"
    done
done
run 0 run --quiet -- echo -h
says out "-h"

store=$HEADROOM_BUILD_DIR/examples/store
store_flags=""
if [ -x "$store/headroom-store" ]; then
    PATH=$store:$PATH
    store_flags=$(headroom-store --help | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')
else
    echo "not tried: headroom-store is not built"
fi

# has SHELL LINE WORD...: each word is offered; has_only: and no other one.
has() {
    local shell=$1 line=$2 offered word
    shift 2
    offered=$("in_$shell" "$line")
    for word in "$@"; do
        grep -qx -- "$word" <<<"$offered" ||
            bad "$shell does not complete '$line' by $word; it has: ${offered//$'\n'/ }"
    done
}

has_only() {
    local shell=$1 line=$2 more
    has "$@"
    more=$("in_$shell" "$line" | { grep -vxF -- "$(printf '%s\n' "${@:3}")" || true; } | xargs)
    [ -z "$more" ] || bad "$shell completes '$line' by $more, too"
}

# The file that completes the command of LINE.
file_for() { # LINE SHELL
    case $1 in
    headroom-store*) echo "$HEADROOM_SOURCE_DIR/examples/store/completion.$2" ;;
    *) echo "$HEADROOM_SOURCE_DIR/cli/completion.$2" ;;
    esac
}

in_bash() { completes "$1" "$(file_for "$1" bash)" | tr ' ' '\n'; }

in_fish() { fish --no-config -c "source '$(file_for "$1" fish)'; complete -C '$1'" | cut -f 1; }

# The completion asks zsh's own functions to show what they are given; here they print it.
in_zsh() {
    zsh -f -c '
        _describe() { print -l -- "${(@)${(P)2}%%:*}" }
        _files() { : }; _command_names() { : }; _pids() { : }; _directories() { : }
        words=(${(z)1}); [[ $1 == *" " ]] && words+=("")
        CURRENT=$#words
        source "$2"' zsh "$1" "$(file_for "$1" zsh)"
}

for shell in bash zsh fish; do
    command -v "$shell" >/dev/null || { echo "not tried: there is no $shell"; continue; }
    # shellcheck disable=SC2086 # words
    has_only "$shell" "headroom " $verbs --help --usage --version
    # shellcheck disable=SC2086
    has "$shell" "headroom help " ${verbs//help/}
    for verb in "${!flags[@]}"; do
        # shellcheck disable=SC2086
        has_only "$shell" "headroom $verb --" ${flags[$verb]}
    done
    has "$shell" "headroom run --on-limit " term freeze abort
    has "$shell" "headroom limit --unit " B KiB MiB GiB
    # shellcheck disable=SC2086
    [ -z "$store_flags" ] || has_only "$shell" "headroom-store --" $store_flags
done

# Colours are for a terminal, and only where NO_COLOR is not set.
if command -v script >/dev/null; then
    TERM=xterm script -qec "$headroom doctor" /dev/null </dev/null >"$work/out" 2>&1 || bad "doctor fails at a terminal"
    grep -q $'\033' "$work/out" || bad "there are no colours at a terminal"
    NO_COLOR=1 TERM=xterm script -qec "$headroom doctor" /dev/null </dev/null >"$work/out" 2>&1
    if grep -q $'\033' "$work/out"; then bad "there are colours in spite of NO_COLOR"; fi
else
    echo "not tried: there is no script(1) to make a terminal"
fi
exit $failed
