# SPDX-License-Identifier: Apache-2.0
# bash completion for headroom-store. Options come from --help, so they are those of the installed version.

_headroom_store() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words
    if [ "$before" = --history ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    words=$(headroom-store --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _headroom_store headroom-store
