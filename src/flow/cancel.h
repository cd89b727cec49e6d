/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HRI_FLOW_CANCEL_H
#define HRI_FLOW_CANCEL_H

#include <headroom/flow.h>

/* The descriptor that ends waits when the handle is set; -1 for NULL. */
int hri_cancel_fd(const hr_cancel *cancel);

#endif
