/* SPDX-License-Identifier: Apache-2.0 */
/* So that #include <headroom.h> works as well as #include <headroom/headroom.h>. */
#include <headroom/headroom.h>
