/* SPDX-License-Identifier: Apache-2.0 */
/* The environment variables of a process. */
#ifndef HRI_OS_ENVIRONMENT_H
#define HRI_OS_ENVIRONMENT_H

#include "os/site.h"

/* Reads the variable `name` of the site's process, as it was when that process was started. Of this process, and for a
 * copied tree of files, it is as it is here now. `ret_value` is to be freed.
 * Gives 0; -ENODATA if it is not set; -ENOMEM; or why the environment cannot be read, such as -EACCES. */
int hri_environment_read(const hri_site *site, const char *name, char **ret_value);

#endif
