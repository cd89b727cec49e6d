/* SPDX-License-Identifier: Apache-2.0 */
#include <headroom/base.h>

#define TEXT_2(x) #x
#define TEXT(x) TEXT_2(x)

const char *hr_version(void)
{
    return TEXT(HR_VERSION_MAJOR) "." TEXT(HR_VERSION_MINOR) "." TEXT(HR_VERSION_PATCH);
}
