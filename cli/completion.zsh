#compdef headroom
# SPDX-License-Identifier: Apache-2.0
# zsh completion for headroom. Verbs and options come from --help, so they are those of the installed version.

_headroom_verbs() {
    local -a verbs
    verbs=(${(f)"$(headroom --help 2>/dev/null | sed -nE 's/^  ([a-z]+) +(.+)$/\1:\2/p')"})
    _describe verb verbs
}

_headroom_options() { # verb
    local -a options
    options=(${(f)"$(headroom $1 --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')"})
    _describe option options
}

_headroom() {
    local -a values
    if (( CURRENT == 2 )); then
        _headroom_verbs
        values=(--help --usage --version)
        _describe option values
        return
    fi
    if [[ $words[2] == help ]]; then
        _headroom_verbs
        return
    fi
    case $words[CURRENT-1] in
    --pid) _pids && return ;;
    --at) values=(warning= degraded= critical=) ;;
    --on-limit) values=(term freeze abort) ;;
    --unit) values=(B KiB MiB GiB) ;;
    --root | --collect) _directories && return ;;
    --report | --summary-json | --output) _files && return ;;
    esac
    if (( $#values )); then
        _describe value values
    elif [[ $words[CURRENT] == -* || $words[2] == (doctor|limit) ]]; then
        _headroom_options $words[2]
    elif [[ $words[2] == run ]]; then
        _command_names -e
    else
        _files
    fi
}

_headroom "$@"
