# SPDX-License-Identifier: Apache-2.0
# bash completion for headroom: verbs, their options, processes, folders and files.

_headroom() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=""
    local -a processes
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="doctor help limit report run top --help --usage --version"
    elif [ "${COMP_WORDS[1]}" = help ]; then
        words="doctor limit report run top"
    elif [ "${COMP_WORDS[1]}" = doctor ]; then
        case $before in
        --pid)
            processes=(/proc/[0-9]*)
            words=${processes[*]#/proc/}
            ;;
        --root | --collect)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
        *) words="--collect --json --pid --root --watch --help --usage --version" ;;
        esac
    elif [ "${COMP_WORDS[1]}" = limit ]; then
        if [ "$COMP_CWORD" -ge 4 ] && [ "${COMP_WORDS[COMP_CWORD - 2]}" = --set ]; then before=--pid; fi
        case $before in
        --pid)
            processes=(/proc/[0-9]*)
            words=${processes[*]#/proc/}
            ;;
        --unit) words="B KiB MiB GiB" ;;
        *) words="--json --percent --pid --set --unit --help --usage --version" ;;
        esac
    elif [ "${COMP_WORDS[1]}" = report ]; then
        if [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
        words="--csv --html --json --output --help --usage --version"
    elif [ "${COMP_WORDS[1]}" = top ]; then
        case $before in
        --sort) words="share use rate full level name pid" ;;
        *) words="--filter --json --once --sort --help --usage --version" ;;
        esac
    elif [ "${COMP_WORDS[1]}" = run ]; then
        case $before in
        --at) words="warning= degraded= critical=" ;;
        --on-limit) words="term freeze abort fail wait" ;;
        --pid)
            processes=(/proc/[0-9]*)
            words=${processes[*]#/proc/}
            ;;
        *)
            words="--at --grace --http --limit --observe --on-limit --pid --quiet --report --summary-json"
            words+=" --help --usage --version"
            ;;
        esac
        if [[ $before != --* && $word != -* ]] || [[ $before == --report || $before == --summary-json ]]; then
            mapfile -t COMPREPLY < <(compgen -c -f -- "$word")
            return
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _headroom headroom
