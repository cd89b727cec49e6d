/* SPDX-License-Identifier: Apache-2.0 */
/* A declared limit is for a platform that hides its own (a nested namespace, gVisor, a batch system). Or it keeps the
 * whole process below a size, whether its memory is charged or not. It is a ledger like the kernel's. */
#ifndef HRI_GAUGE_DECLARED_H
#define HRI_GAUGE_DECLARED_H

#include <stdbool.h>
#include <stdint.h>

#define HRI_DECLARED_VARIABLE "HEADROOM_LIMIT"
#define HRI_DECLARED_RIGHT "write a size such as 512M or 1.5GiB, a share such as 80%, or none"

typedef struct hri_declared {
    uint64_t bytes;     /* 0: none, or a share */
    double share;       /* of the smallest limit that is seen; 0: none */
    const char *source; /* a constant that names it */
} hri_declared;

#define HRI_OBSERVE_VARIABLE "HEADROOM_OBSERVE"
#define HRI_OBSERVE_RIGHT "write 1 to look and tell and do nothing, or 0"

/* Reads a value of HEADROOM_OBSERVE: "1" observes; NULL, an empty text and "0" do not. Gives 0; -EINVAL for any
 * other. */
int hri_observe_parse(const char *text, bool *ret_observes);

/* Reads a value of HEADROOM_LIMIT: a size such as "512M", or a share such as "80%". NULL, an empty text, "none" and
 * "unlimited" declare nothing. Gives 0; -EINVAL if the text is neither, or the limit is 0 or over 100 %; -ERANGE. */
int hri_declared_parse(const char *text, hri_declared *ret_declared);

#endif
