/* SPDX-License-Identifier: Apache-2.0 */
#include "trigger.h"

#include <errno.h>
#include <headroom/guard.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1e9
#define FILL_BYTES_PER_NS 4 /* 4 GB/s: what one core can touch */

/* By level: the share at which it begins, and that below which it ends. They are a guard's default thresholds, except
 * that critical ends with degraded: an action at critical must not be done again and again where use moves around it.
 * */
static const struct {
    double from, below;
} levels[] = {
    [HR_WARNING] = {HR_WARN_AT, HR_WARN_BELOW},
    [HR_DEGRADED] = {HR_DEGRADE_AT, HR_RECOVER_BELOW},
    [HR_CRITICAL] = {(HR_DEGRADE_AT + 1) / 2, HR_RECOVER_BELOW},
};

/* Every C library names them by other calls. */
static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV},     {"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD},     {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF},     {"IO", SIGIO},     {"PWR", SIGPWR},   {"SYS", SIGSYS},   {"WINCH", SIGWINCH},
    {"STKFLT", SIGSTKFLT},
};

/* ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

bool run_share_parse(const char *text, double *ret_share)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    double share = strtod(text, &end);
    if (strspn(text, "0123456789.") != (size_t)(end - text) || strcmp(end, "%") != 0 || !(share > 0 && share <= 100))
        return false;
    *ret_share = share / 100;
    return true;
}

bool run_time_parse(const char *text, int64_t *ret_ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", SECOND_NS}, {"ms", 1e6}, {"s", SECOND_NS}, {"m", 60 * SECOND_NS}, {"h", 3600 * SECOND_NS}};
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    double value = strtod(text, &end);
    if (strspn(text, "0123456789.") != (size_t)(end - text))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        double ns = value * units[i].ns;
        if (!(ns <= 365.0 * 24 * 3600 * SECOND_NS))
            return false;
        *ret_ns = (int64_t)ns;
        return true;
    }
    return false;
}

int run_signal_parse(const char *name)
{
    char *end;
    if (*name >= '0' && *name <= '9') {
        errno = 0;
        long number = strtol(name, &end, 10);
        return !errno && !*end && number > 0 && number <= SIGRTMAX ? (int)number : 0;
    }
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    }
    return 0;
}

const char *run_signal_text(int signal, char text[RUN_SIGNAL_BYTES])
{
    snprintf(text, RUN_SIGNAL_BYTES, "signal %d", signal);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (signals[i].number == signal)
            snprintf(text, RUN_SIGNAL_BYTES, "SIG%s", signals[i].name);
    }
    return text;
}

bool run_signal_ends(int signal)
{
    return signal == SIGTERM || signal == SIGINT || signal == SIGQUIT || signal == SIGABRT || signal == SIGKILL;
}

static const char *parse_level(char *word, run_trigger *trigger)
{
    for (hr_level level = HR_WARNING; level <= HR_CRITICAL; level++) {
        if (strcmp(word, hr_level_text(level)) == 0) {
            trigger->level = level;
            trigger->share = levels[level].from;
            return NULL;
        }
    }
    if (run_share_parse(word, &trigger->share))
        return NULL;
    if (hr_size_parse(word, &trigger->bytes) == 0 && trigger->bytes > 0 && trigger->bytes != HR_NONE)
        return NULL;
    return "its LEVEL is none: write warning, degraded, critical, a size such as 400M, or a share such as 85%";
}

static const char *parse_action(const char *word, run_trigger *trigger)
{
    static const struct {
        const char *word;
        run_action action;
    } plain[] = {{"log", RUN_LOG}, {"purge", RUN_PURGE}, {"freeze", RUN_FREEZE}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(word, plain[i].word) == 0) {
            trigger->action = plain[i].action;
            return NULL;
        }
    }
    if (strncmp(word, "signal:", 7) == 0) {
        trigger->action = RUN_SIGNAL;
        trigger->signal = run_signal_parse(word + 7);
        return trigger->signal ? NULL : "its signal is not known: write for example signal:TERM";
    }
    if (strncmp(word, "exec:", 5) == 0) {
        trigger->action = RUN_EXEC;
        trigger->command = word + 5;
        return word[5] ? NULL : "its command is empty: write for example exec:'logger memory is short'";
    }
    return "its ACTION is none: write signal:NAME, exec:COMMAND, purge, freeze or log";
}

const char *run_trigger_parse(const char *text, run_trigger *ret_trigger)
{
    run_trigger trigger = {.text = text};
    char level[32];
    const char *sign = strchr(text, '=');
    if (!sign)
        return "write LEVEL=ACTION, for example critical=signal:TERM";
    size_t length = (size_t)(sign - text);
    if (length >= sizeof level)
        length = sizeof level - 1;
    memcpy(level, text, length);
    level[length] = '\0';
    const char *error = parse_level(level, &trigger);
    if (!error)
        error = parse_action(sign + 1, &trigger);
    if (!error)
        *ret_trigger = trigger;
    return error;
}

/* ── decisions ──────────────────────────────────────────────────────────────────────────────────────────────────── */

bool run_trigger_rises(run_trigger *trigger, const run_use *use)
{
    double now = trigger->share > 0 ? use->share : (double)use->use_bytes;
    double at = trigger->share > 0 ? trigger->share : (double)trigger->bytes;
    double below = trigger->level > HR_NORMAL ? levels[trigger->level].below : at * 15 / 16;
    bool rises = !trigger->risen && now >= at;
    trigger->risen = now >= at || (trigger->risen && now >= below);
    return rises;
}

hr_level run_level_next(hr_level level, double share)
{
    hr_level called = HR_NORMAL;
    for (hr_level each = HR_WARNING; each <= HR_CRITICAL; each++)
        called = share >= levels[each].from ? each : called;
    if (called >= level || share < levels[level].below)
        return called;
    return level;
}

int64_t run_poll_ns(uint64_t left_bytes)
{
    uint64_t ns = left_bytes / FILL_BYTES_PER_NS;
    if (ns < (uint64_t)RUN_POLL_MIN_NS)
        return RUN_POLL_MIN_NS;
    return ns > (uint64_t)RUN_POLL_MAX_NS ? RUN_POLL_MAX_NS : (int64_t)ns;
}

uint64_t run_limit_below(uint64_t bytes)
{
    uint64_t slack = bytes / 50;
    if (slack < UINT64_C(2) << 20)
        slack = UINT64_C(2) << 20;
    return slack < bytes / 2 ? bytes - slack : bytes - bytes / 2;
}
