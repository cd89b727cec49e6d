#!/usr/bin/env bash
# Includes point down only: the table of rooms in CONTRIBUTING.md, held against every source. So do calls: no room below
# the guard calls it; what it has for them they find in base/offer.h, or in hooks.
#
#   includes.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

{
    for folder in src cli run examples adapters integrations include; do
        [ -d "$folder" ] && find "$folder" -name '*.[ch]' -o -name '*.cpp' -path "$folder/*"
    done
} | sort | xargs -r grep -Hn '^[[:space:]]*#[[:space:]]*include' | awk '
BEGIN {
    # room: what it may include, and itself
    may["base"] = "base"
    may["os"] = "base os"
    may["heap"] = "base os heap"
    may["malloc"] = "base os heap malloc"
    may["budget"] = "base os budget"
    may["alloc"] = "base os heap budget alloc"
    may["gauge"] = "base os heap budget gauge"
    may["relief"] = "base os heap budget alloc gauge relief"
    may["pool"] = "base os heap budget alloc pool"
    may["cache"] = "base os heap budget alloc cache"
    may["flow"] = "base os heap budget alloc pool flow"
    may["report"] = "base os budget gauge report"
    may["guard"] = "base os heap budget alloc gauge relief pool cache flow report guard"
    rooms = "base os heap malloc budget alloc gauge relief pool cache flow report guard"
    # Public headers belong to the room that they are the face of. guard.h, survey.h and base.h are types and
    # declarations that need nothing else, so every room but base may name a guard.
    face["base"] = "base"
    face["guard"] = "base"
    face["survey"] = "base"
    face["budget"] = "budget"
    face["relief"] = "relief"
    face["scope"] = "relief"
    face["pool"] = "pool"
    face["cache"] = "cache"
    face["flow"] = "flow"
    face["report"] = "report"
    face["status"] = "report"
}

function offence(text) {
    print where ": " text
    bad = 1
}

function allowed(room, other) {
    return index(" " may[room] " ", " " other " ") > 0
}

{
    split($0, part, ":")
    file = part[1]
    where = part[1] ":" part[2]
    line = substr($0, length(where) + 2)
    if (!match(line, /[<"][^>"]*[>"]/))
        next
    quoted = substr(line, RSTART, 1) == "\""
    name = substr(line, RSTART + 1, RLENGTH - 2)
    depth = split(file, folder, "/")
    first = name
    slash = index(name, "/")
    if (slash)
        first = substr(name, 1, slash - 1)
    public = first == "headroom" || name == "headroom.h"
    ours = (first in may) && slash

    if (name ~ /(^|\/)\.\.\//) {
        offence("\"" name "\" climbs out of its folder: name it from src/ (\"room/name.h\")")
    } else if (folder[1] == "include") {
        if (quoted || ours)
            offence("\"" name "\" is not public: a public header includes <headroom/...> and system headers only")
    } else if (folder[1] != "src") {
        if (folder[1] == "run" && name ~ /^malloc\/(account|link|page|raw|slots)\.h$/)
            next # what it shares with the command, and says as one of a tree
        if (ours)
            offence("\"" name "\" is internal: " folder[1] " sees public headers only")
    } else if (depth == 2) {
        offence(folder[2] " stands in no room")
    } else {
        room = folder[2]
        if (!(room in may)) {
            offence(room " is no room: there are " rooms)
        } else if (public && room == "guard") {
            next # wires all rooms
        } else if (public) {
            header = name
            sub(/^headroom\//, "", header)
            sub(/\.h$/, "", header)
            if (!(header in face))
                offence("<" name "> is for programs: include the header of the one idea that is needed")
            else if (!allowed(room, face[header]))
                offence("<" name "> is the face of " face[header] ", and " room " may include " may[room] " only")
        } else if (ours) {
            if (!allowed(room, first))
                offence("\"" name "\" points up: " room " may include " may[room] " only")
        } else if (quoted && slash) {
            offence("\"" name "\" is in no room: there are " rooms)
        }
    }
}
END { exit bad }' || bad=1

# Outside of comments.
if [ -d src ]; then
    # shellcheck disable=SC2016 # awk's own
    find src -mindepth 2 -name '*.[ch]' -not -path 'src/guard/*' | sort | xargs -r awk '
    { sub(/\/\*.*\*\//, "") }
    /^ ?\*|\/\*/ { next }
    match($0, /(^|[^A-Za-z0-9_])hri?_guard_[a-z_]+ *\(/) {
        print FILENAME ":" FNR ": a call of the guard points up: base/offer.h has what it offers"
        bad = 1
    }
    END { exit bad }' || bad=1
fi
exit "${bad:-0}"
