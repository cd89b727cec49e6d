/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka.h with the headers that it wants before it. */
#ifndef HRT_SUPPORT_CMOCKA_H
#define HRT_SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)

#endif
