#compdef headroom-store
# SPDX-License-Identifier: Apache-2.0
# zsh completion for headroom-store. Options come from --help, so they are those of the installed version.

_headroom_store() {
    local -a options
    if [[ $words[CURRENT-1] == --history ]]; then
        _files
    else
        options=(${(f)"$(headroom-store --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')"})
        _describe option options
    fi
}

_headroom_store "$@"
