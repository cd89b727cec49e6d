/* SPDX-License-Identifier: Apache-2.0 */
/* A library without the page: it was built where npm could not bundle it. hr_page_write() gives -ENOTSUP then. */
#include "report/page.h"

const hri_page_bundle hri_page = {{0}};
