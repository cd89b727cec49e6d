/* SPDX-License-Identifier: Apache-2.0 */
/* headroom: memory that runs out, survived. This header brings all of them; each also stands alone. */
#ifndef HEADROOM_HEADROOM_H
#define HEADROOM_HEADROOM_H

#include <headroom/base.h>
#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/flow.h>
#include <headroom/guard.h>
#include <headroom/pool.h>
#include <headroom/relief.h>
#include <headroom/report.h>
#include <headroom/scope.h>
#include <headroom/status.h>
#include <headroom/survey.h>

#endif
