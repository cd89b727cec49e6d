/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that wait in local sockets. They are charged to the socket that sent them. */
#ifndef HRI_OS_SOCKETS_H
#define HRI_OS_SOCKETS_H

#include "os/numbers.h"

/* Of one socket, by its descriptor; 0 for any other file. */
uint64_t hri_sockets_queued_in(int fd);

/* Of those in this network namespace that have one of these numbers (/proc/PID/fd); 0 where the kernel does not list
 * them. Allocates nothing. */
uint64_t hri_sockets_queued(const hri_numbers *numbers);

#endif
