/* SPDX-License-Identifier: Apache-2.0 */
/* The words of `headroom run`. The first line is a trigger, a share, a time and a signal in turn. */
#include "fuzz.h"

#include "run/trigger.h"

static void check_trigger(const char *text)
{
    run_trigger trigger = {.signal = -1}, again;
    const char *error = run_trigger_parse(text, &trigger);
    if (error) {
        HRF_CHECK(trigger.signal == -1 && strlen(error) > 20);
        return;
    }
    HRF_CHECK(trigger.text == text && run_trigger_parse(text, &again) == NULL);
    HRF_CHECK((trigger.share > 0 && trigger.share <= 1) != (trigger.bytes > 0));
    HRF_CHECK(trigger.bytes != HR_NONE && trigger.level <= HR_CRITICAL);
    HRF_CHECK(trigger.action != RUN_SIGNAL || (trigger.signal > 0 && trigger.signal <= SIGRTMAX));
    HRF_CHECK(trigger.action != RUN_EXEC || (trigger.command > text && *trigger.command));
    run_use none = {0}, all = {.use_bytes = HR_NONE, .share = 10};
    HRF_CHECK(!run_trigger_rises(&trigger, &none) && run_trigger_rises(&trigger, &all));
    HRF_CHECK(!run_trigger_rises(&trigger, &all) && !run_trigger_rises(&trigger, &none));
    HRF_CHECK(run_trigger_rises(&trigger, &all));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = hrf_text(data, size), name[RUN_SIGNAL_BYTES];
    double share = -1;
    int64_t ns = -1;
    check_trigger(text);
    HRF_CHECK(run_share_parse(text, &share) ? share > 0 && share <= 1 : share == -1);
    HRF_CHECK(run_time_parse(text, &ns) ? ns >= 0 : ns == -1);
    int signal = run_signal_parse(text);
    HRF_CHECK(signal >= 0 && signal <= SIGRTMAX);
    if (signal && strncmp(run_signal_text(signal, name), "SIG", 3) == 0)
        HRF_CHECK(run_signal_parse(name) == signal);
    free(text);
    return 0;
}
