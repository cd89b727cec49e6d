# SPDX-License-Identifier: Apache-2.0
# bash completion for headroom: verbs, their options, processes, folders and files.

_headroom() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=""
    local -a processes
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="doctor limit report --help --usage --version"
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
        case $before in
        --pid)
            processes=(/proc/[0-9]*)
            words=${processes[*]#/proc/}
            ;;
        --unit) words="B KiB MiB GiB" ;;
        *) words="--percent --pid --unit --help --usage --version" ;;
        esac
    elif [ "${COMP_WORDS[1]}" = report ]; then
        if [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
        words="--csv --json --help --usage --version"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _headroom headroom
