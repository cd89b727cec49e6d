/* SPDX-License-Identifier: Apache-2.0 */
/* Figures and tickets in one line each: the public calls, which need faces of several rooms. */
#include "base/checked.h"
#include "report/text.h"

#include <errno.h>
#include <headroom/guard.h>
#include <headroom/relief.h>

static int finish(const hri_text *text)
{
    return text->length < text->size ? 0 : -ENOBUFS;
}

/* A size that may be absent, with the words before and behind it. */
static void put_part(hri_text *text, const char *before, uint64_t bytes, const char *behind)
{
    if (bytes == HR_NONE)
        return;
    hri_text_put(text, "%s", before);
    hri_text_put_size(text, bytes);
    hri_text_put(text, "%s", behind);
}

int hr_figures_text(const hr_figures *figures, char *text, size_t size)
{
    if (!figures || !text || !size)
        return -EINVAL;
    hri_text line = {.buffer = text, .size = size};
    hri_text_put(&line, "%s: ", hr_level_text(figures->level));
    hri_text_put_size(&line, figures->live_bytes);
    put_part(&line, " of ", figures->limit_bytes, "");
    hri_text_put(&line, " held");
    if (figures->limit_source && figures->limit_bytes != HR_NONE) {
        hri_text_put(&line, " (");
        hri_text_put_name(&line, figures->limit_source);
        hri_text_put(&line, ")");
    }
    if (figures->promised_bytes)
        put_part(&line, ", ", figures->promised_bytes, " promised");
    if (figures->use > 0 && figures->use_source)
        hri_text_put(&line, ", %s %.1f %% full", figures->use_source, figures->use * 100);
    put_part(&line, ", rss ", figures->rss_bytes, "");
    put_part(&line, ", cgroup ", figures->cgroup_bytes, "");
    put_part(&line, " of ", figures->cgroup_limit_bytes, "");
    hri_text_put(&line, ", %llu refused", (unsigned long long)figures->refusals);
    if (figures->would_have_refused)
        hri_text_put(&line, ", %llu would have been refused", (unsigned long long)figures->would_have_refused);
    if (figures->reliefs)
        put_part(&line, ", relief gave back ", figures->relieved_bytes, "");
    return finish(&line);
}

/* Why a level refused. */
static void put_level(const hr_ticket *ticket, hri_text *text)
{
    if (ticket->level == HR_CRITICAL) {
        hri_text_put(text, "the level is critical, at which no request is admitted");
    } else if (ticket->verdict == HR_REFUSED_TOO_LARGE) {
        hri_text_put(text, "it would lead to level degraded, or the level is degraded; ");
        hri_text_put_size(text, ticket->left_bytes);
        hri_text_put(text, " are left below that");
    } else {
        hri_text_put(text, "the level is degraded, at which a share of the requests is refused");
    }
}

int hr_ticket_text(const hr_ticket *ticket, char *text, size_t size)
{
    if (!ticket || !text || !size)
        return -EINVAL;
    hri_text line = {.buffer = text, .size = size};
    hri_text_put(&line, ticket->verdict == HR_ADMITTED ? "admitted " : "refused ");
    hri_text_put_size(&line, hri_min(ticket->asked_bytes, HR_NONE - 1)); /* that is no absence */
    if (ticket->verdict == HR_ADMITTED) {
        put_part(&line, ", ", ticket->left_bytes, " of them not spent yet");
        return finish(&line);
    }
    hri_text_put(&line, ": ");
    if (ticket->level != HR_NORMAL) {
        put_level(ticket, &line);
    } else if (!ticket->limit_name || !*ticket->limit_name) { /* hr_admit() could not ask anybody */
        hri_text_put(&line, "there is no guard or no request, or the budget is another guard's");
        return finish(&line);
    } else {
        hri_text_put_name(&line, ticket->limit_name);
        put_part(&line, " has ", ticket->left_bytes, " left");
        put_part(&line, " of ", ticket->limit_bytes, "");
    }
    if (ticket->asked_bytes > ticket->limit_bytes && ticket->limit_bytes) {
        hri_text_put(&line, "; it can never fit");
        return finish(&line);
    }
    hri_text_put(&line, "; ask again in ");
    hri_text_put_time(&line, ticket->retry_after_ns);
    return finish(&line);
}
