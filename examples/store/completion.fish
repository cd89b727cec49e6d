# SPDX-License-Identifier: Apache-2.0
# fish completion for headroom-store. Options come from --help, so they are those of the installed version.

function __headroom_store_complete
    if test (commandline -opc)[-1] = --history
        __fish_complete_path (commandline -ct)
    else
        headroom-store --help | string match -rg '^ +(?:-\S, )?(--[a-z-]+)'
    end
end

complete -c headroom-store -f -a '(__headroom_store_complete)'
