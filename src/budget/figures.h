/* SPDX-License-Identifier: Apache-2.0 */
/* The figures that budgets publish to reports: each by its path, such as "root/cache". */
#ifndef HRI_BUDGET_FIGURES_H
#define HRI_BUDGET_FIGURES_H

#include "base/figures.h"
#include "budget/budget.h"

void hri_budget_publish(hri_budget_tree *tree, hri_figure_source *ret_source);

#endif
