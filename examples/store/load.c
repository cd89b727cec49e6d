/* SPDX-License-Identifier: Apache-2.0 */
/* headroom-load: the witness. It knows nothing of headroom; it writes, reads, and afterwards asks for everything that
 * was acknowledged, and prints what it saw as key=value lines.
 */
#include "load.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RECOVERY_NS INT64_C(20000000000)
#define POLL_NS 10000000
#define WARNING 1

static const char help[] = "Usage: headroom-load --url URL [OPTION]...\n"
                           "Loads an object store and checks every byte that it gives back.\n"
                           "\n"
                           "  --url URL             the store, such as http://127.0.0.1:8080\n"
                           "  --connections N       (default 16)\n"
                           "  --min-size SIZE       sizes are log-uniform from here (default 1KiB)\n"
                           "  --max-size SIZE       to here (default 4MiB)\n"
                           "  --cache SHARE         of the requests that write to /cache (default 0.70)\n"
                           "  --pinned SHARE        of the requests that write to /pinned (default 0.10)\n"
                           "  --read SHARE          of the requests that read (default: what is left)\n"
                           "  --total-bytes SIZE    end after this many bytes were offered (default 600MiB)\n"
                           "  --max-seconds N       end at the latest after this time (default 30)\n"
                           "  --seed N              repeat a run (default: a random one)\n"
                           "  --rate SIZE           what a connection sends in a second at most\n"
                           "  --vanish P            probability that a client disappears in the middle of a body\n"
                           "  --burst               no pause of 10 ms after a refusal\n"
                           "  --no-length           bodies do not announce their length\n"
                           "  --help\n";

enum option_id {
    URL = 1,
    CONNECTIONS,
    MIN_SIZE,
    MAX_SIZE,
    CACHE,
    PINNED,
    READ,
    TOTAL_BYTES,
    MAX_SECONDS,
    SEED,
    RATE,
    VANISH,
    BURST,
    NO_LENGTH,
    HELP,
};

static const struct option known[] = {
    {"url", required_argument, NULL, URL},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"min-size", required_argument, NULL, MIN_SIZE},
    {"max-size", required_argument, NULL, MAX_SIZE},
    {"cache", required_argument, NULL, CACHE},
    {"pinned", required_argument, NULL, PINNED},
    {"read", required_argument, NULL, READ},
    {"total-bytes", required_argument, NULL, TOTAL_BYTES},
    {"max-seconds", required_argument, NULL, MAX_SECONDS},
    {"seed", required_argument, NULL, SEED},
    {"rate", required_argument, NULL, RATE},
    {"vanish", required_argument, NULL, VANISH},
    {"burst", no_argument, NULL, BURST},
    {"no-length", no_argument, NULL, NO_LENGTH},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* ── options ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static __attribute__((noreturn, format(printf, 1, 2))) void mistake(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("headroom-load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\nTry 'headroom-load --help'.\n", stderr);
    va_end(arguments);
    exit(2);
}

static double number(const char *name, const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        mistake("--%s '%s': write a number from %g to %g", name, text, min, max);
    return value;
}

static uint64_t size(const char *name, const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        value *= (double)(UINT64_C(1) << 10 * (unit - units + 1));
        end++;
    }
    if (strncmp(end, "iB", 2) == 0)
        end += 2;
    if (end == text || *end || !(value >= 1 && value < 0x1p60))
        mistake("--%s '%s' is no size: write a number and KiB, MiB or GiB, such as 64KiB", name, text);
    return (uint64_t)value;
}

static uint64_t random_seed(void)
{
    uint32_t seed = 1; /* short enough to be typed again */
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint32_t)load_now_ns();
    return seed;
}

static void apply(enum option_id id, const char *name, struct load_options *options)
{
    switch (id) {
    case URL:
        options->url = optarg;
        break;
    case CONNECTIONS:
        options->connections = (unsigned)number(name, optarg, 1, 10000);
        break;
    case MIN_SIZE:
        options->min_bytes = size(name, optarg);
        break;
    case MAX_SIZE:
        options->max_bytes = size(name, optarg);
        break;
    case CACHE:
        options->cache_share = number(name, optarg, 0, 1);
        break;
    case PINNED:
        options->pinned_share = number(name, optarg, 0, 1);
        break;
    case READ:
        options->read_share = number(name, optarg, 0, 1);
        break;
    case TOTAL_BYTES:
        options->total_bytes = size(name, optarg);
        break;
    case MAX_SECONDS:
        options->max_seconds = number(name, optarg, 0.1, 86400);
        break;
    case SEED:
        options->seed = (uint64_t)number(name, optarg, 0, 0x1p53);
        break;
    case RATE:
        options->rate_bytes = size(name, optarg);
        break;
    case VANISH:
        options->vanish = number(name, optarg, 0, 1);
        break;
    case BURST:
        options->burst = true;
        break;
    case NO_LENGTH:
        options->no_length = true;
        break;
    case HELP:
        fputs(help, stdout);
        exit(0);
    }
}

static struct load_options parse(int argc, char **argv)
{
    struct load_options options = {
        .connections = 16,
        .min_bytes = 1 << 10,
        .max_bytes = 4 << 20,
        .cache_share = 0.70,
        .pinned_share = 0.10,
        .read_share = -1,
        .total_bytes = UINT64_C(600) << 20,
        .max_seconds = 30,
        .seed = random_seed(),
    };
    int index = 0;
    for (int id; (id = getopt_long(argc, argv, "", known, &index)) != -1;) {
        if (id == '?')
            exit(2);
        apply((enum option_id)id, known[index].name, &options);
    }
    double writes = options.cache_share + options.pinned_share;
    if (options.read_share < 0)
        options.read_share = writes < 1 ? 1 - writes : 0;
    if (!options.url || optind < argc)
        mistake(options.url ? "'%s' is not expected" : "--url is missing%.0s", optind < argc ? argv[optind] : "");
    if (options.min_bytes > options.max_bytes)
        mistake("--min-size is larger than --max-size");
    if (writes <= 0 || writes + options.read_share > 1.000001)
        mistake("--cache, --pinned and --read are shares of the requests: together at most 1, and some must write");
    return options;
}

/* ── small texts ───────────────────────────────────────────────────────────────────────────────────────────────── */

struct text {
    char *buffer;
    size_t size;
    size_t length;
};

static size_t on_text(char *bytes, size_t size, size_t count, void *context)
{
    struct text *text = context;
    size_t room = text->size - 1 - text->length, part = size * count < room ? size * count : room;
    memcpy(text->buffer + text->length, bytes, part);
    text->length += part;
    text->buffer[text->length] = '\0';
    return size * count;
}

/* Fetches a small text. Returns its HTTP status, 0 without an answer. */
static long fetch(const char *url, const char *path, char *buffer, size_t size)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", url, path);
    struct text text = {buffer, size, 0};
    buffer[0] = '\0';
    long status = 0;
    CURL *easy = curl_easy_init();
    if (!easy)
        return 0;
    curl_easy_setopt(easy, CURLOPT_URL, whole);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &text);
    if (curl_easy_perform(easy) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return status;
}

/* ── recovery, watched by its own thread ────────────────────────────────────────────────────────────────────────── */

struct recovery {
    const char *url;
    int64_t from_ns;
    double ms;  /* below 0: not in time */
    bool known; /* the store says a level at all */
};

/* Polls the level from the end of the load until it is warning or lower. */
static void *watch_recovery(void *context)
{
    static const char name[] = "\nheadroom_level ";
    struct recovery *recovery = context;
    static char metrics[65536];
    while (load_now_ns() - recovery->from_ns < RECOVERY_NS) {
        if (fetch(recovery->url, "/metrics", metrics, sizeof metrics) != 200)
            break;
        const char *level = strstr(metrics, name);
        if (!level)
            break;
        recovery->known = true;
        if (atoi(level + strlen(name)) <= WARNING) {
            recovery->ms = (double)(load_now_ns() - recovery->from_ns) / 1e6;
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return NULL;
}

/* ── results ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load_results *results, double share)
{
    if (results->latency_count == 0)
        return 0;
    return results->latencies_us[(size_t)(share * (double)(results->latency_count - 1))] / 1000.0;
}

static void say(const char *name, uint64_t value)
{
    printf("%s=%llu\n", name, (unsigned long long)value);
}

static void say_outcomes(const char *kind, const struct load_outcomes *outcomes)
{
    printf("%s_served=%llu\n", kind, (unsigned long long)outcomes->served);
    printf("%s_refused_413=%llu\n", kind, (unsigned long long)outcomes->refused_413);
    printf("%s_refused_503=%llu\n", kind, (unsigned long long)outcomes->refused_503);
    printf("%s_refused_507=%llu\n", kind, (unsigned long long)outcomes->refused_507);
    printf("%s_failed=%llu\n", kind, (unsigned long long)outcomes->failed);
}

static void say_results(struct load_results *results)
{
    qsort(results->latencies_us, results->latency_count, sizeof *results->latencies_us, by_value);
    say("alive", results->alive);
    printf("seconds=%.2f\n", results->seconds);
    say("offered_bytes", results->offered_bytes);
    say_outcomes("cache", &results->writes[LOAD_CACHE]);
    say_outcomes("pinned", &results->writes[LOAD_PINNED]);
    say_outcomes("read", &results->reads);
    say("read_missed", results->reads.missed);
    say("read_wrong", results->reads_wrong);
    say("vanished", results->vanished);
    printf("p50_ms=%.2f\np99_ms=%.2f\n", percentile_ms(results, 0.50), percentile_ms(results, 0.99));
    say("held_bytes", results->held_bytes[LOAD_CACHE] + results->held_bytes[LOAD_PINNED]);
    say("held_cache_bytes", results->held_bytes[LOAD_CACHE]);
    say("held_pinned_bytes", results->held_bytes[LOAD_PINNED]);
    say("cache_acknowledged", results->acknowledged[LOAD_CACHE]);
    say("cache_evicted", results->gone[LOAD_CACHE]);
    say("cache_wrong", results->wrong[LOAD_CACHE]);
    say("pinned_acknowledged", results->acknowledged[LOAD_PINNED]);
    say("pinned_lost", results->gone[LOAD_PINNED]);
    say("pinned_wrong", results->wrong[LOAD_PINNED]);
    say("unread", results->unread);
}

int main(int argc, char **argv)
{
    struct load_options options = parse(argc, argv);
    struct load_results results = {0};
    char text[256];
    setvbuf(stdout, NULL, _IOLBF, 0); /* what is known is printed, whatever happens next */
    printf("seed=%llu\n", (unsigned long long)options.seed);
    load_random_seed(options.seed);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) || load_run(&options, &results)) {
        fputs("headroom-load: out of memory\n", stderr);
        return 1;
    }
    struct recovery recovery = {.url = options.url, .from_ns = load_now_ns(), .ms = -1};
    pthread_t watcher;
    bool watching = results.alive && pthread_create(&watcher, NULL, watch_recovery, &recovery) == 0;
    load_read_back(&options, &results);
    results.alive &= fetch(options.url, "/healthz", text, sizeof text) == 200;
    if (watching)
        pthread_join(watcher, NULL);
    say_results(&results);
    if (recovery.known)
        printf("recovered_ms=%.0f\n", recovery.ms);
    free(results.latencies_us);
    curl_global_cleanup();
    if (!results.alive)
        fprintf(stderr, "headroom-load: the server is gone\n");
    return 0;
}
