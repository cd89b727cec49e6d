# SPDX-License-Identifier: Apache-2.0
# bash completion for headroom: verbs, their options, processes and folders.

_headroom() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=""
    local -a processes
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="doctor --help --usage --version"
    elif [ "${COMP_WORDS[1]}" = doctor ]; then
        case $before in
        --pid)
            processes=(/proc/[0-9]*)
            words=${processes[*]#/proc/}
            ;;
        --root)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
        *) words="--json --pid --root --help --usage --version" ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _headroom headroom
