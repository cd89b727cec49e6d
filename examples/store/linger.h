/* SPDX-License-Identifier: Apache-2.0 */
/* Lets refused clients finish. Whoever sends a large body without asking first (Expect: 100-continue) is refused while
 * it sends; were its connection closed at once, the kernel would reset it for the bytes that nobody read, and the
 * client might never see why. So such connections are kept a little longer, and what still comes is thrown away.
 */
#ifndef STORE_LINGER_H
#define STORE_LINGER_H

/* Keeps a connection that is about to be closed: by a descriptor of our own. Any thread. */
void linger_keep(int connection);

/* Throws away what has come, and closes what is done. Called a few times a second. */
void linger_sweep(void);

void linger_close_all(void);

#endif
