/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line asks of headroom-store. */
#ifndef STORE_OPTIONS_H
#define STORE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    char host[256];
    char port[8];
    uint64_t limit_bytes; /* 0: the kernel's own limit */
    double warn_at;       /* shares of the limit; 0: the library's default */
    double degrade_at;
    double critical_at;
    double recover_below;
    double pinned_share;
    unsigned max_connections;
    bool unguarded;
};

/* Reads the command line. Help and version are printed here; a mistake is explained on stderr.
 *
 * returns  -1 to go on; else the status to exit with: 0 after --help and --version, 2 after a mistake
 */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
