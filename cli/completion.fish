# SPDX-License-Identifier: Apache-2.0
# fish completion for headroom. Verbs and options come from --help, so they are those of the installed version.

function __headroom_verb --description 'the verb of the command line, if there is one'
    set -l words (commandline -opc)
    test (count $words) -gt 1; and echo $words[2]
end

function __headroom_verbs
    headroom --help | string replace -rf '^  ([a-z]+) +(.+)$' '$1\t$2'
end

function __headroom_options
    set -l verb (__headroom_verb)
    headroom $verb --help | string match -rg '^ +(?:-\S, )?--([a-z-]+)' | while read -l word
        echo --$word
    end
end

function __headroom_values
    switch (commandline -opc)[-1]
        case --pid
            __fish_complete_pids
        case --at
            printf '%s=\n' warning degraded critical
        case --on-limit
            printf '%s\n' term freeze abort fail wait
        case --sort
            printf '%s\n' share use rate full level name pid
        case --unit
            printf '%s\n' B KiB MiB GiB
        case --root --collect
            __fish_complete_directories
        case --report --summary-json --output
            __fish_complete_path
        case '*'
            return 1
    end
end

function __headroom_complete
    set -l verb (__headroom_verb)
    if test -z "$verb"
        __headroom_verbs
        printf '%s\n' --help --usage --version
    else if test "$verb" = help
        __headroom_verbs
    else if not __headroom_values
        __headroom_options
        test "$verb" = report; and __fish_complete_path (commandline -ct)
        test "$verb" = run; and __fish_complete_command
    end
end

complete -c headroom -f -a '(__headroom_complete)'
