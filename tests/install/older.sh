#!/usr/bin/env bash
# Structs grow without breaking programs. One that was compiled when options and results were smaller runs with the
# library of today, and so does one that was compiled when they will be larger. Each struct ends where its memory
# ends, so that a byte too far is a SIGSEGV.
set -euo pipefail
source_dir=${HEADROOM_SOURCE_DIR:?}
build_dir=${HEADROOM_BUILD_DIR:?}
compiler=${CC:-gcc}
command -v "$compiler" >/dev/null || { echo "skipped: there is no $compiler"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Headers in which each struct of the list has lost its last field, or has one more.
python3 - "$source_dir/include" "$work" <<'PYTHON'
import pathlib, re, shutil, sys
source, work = map(pathlib.Path, sys.argv[1:])
base = (source / "headroom/base.h").read_text()
calls = re.findall(r"HR_SIZED_(\w+?)_ = \d+", base)
text = "".join(path.read_text() for path in sorted((source / "headroom").glob("*.h")))
# The structs of which a size is passed, by the inline functions.
grown = set()
for arguments in re.findall(r"HR_SIZED_ int hr_\w+\(([^)]*)\)", text):
    grown |= set(re.findall(r"(hr_\w+_options|hr_\w+) \*(?:options|ret_\w+)\b", arguments))
    grown |= set(re.findall(r"(hr_\w+) \*ret_", arguments))
grown = {name for name in grown if f"typedef struct {name} {{" in text}
assert len(calls) == 22 and len(grown) == 19, (len(calls), sorted(grown))
for age in ("older", "newer"):
    folder = work / age / "headroom"
    shutil.copytree(source / "headroom", folder)
    for path in folder.glob("*.h"):
        header = path.read_text()
        for name in grown:
            def change(match):
                lines = match.group(2).split("\n")
                if age == "newer":
                    return match.group(1) + match.group(2) + "    uint64_t later;\n" + match.group(3)
                last = max(i for i, line in enumerate(lines) if re.match(r"\s+[a-z][\w \*,\[\]\(\)]*;", line))
                return match.group(1) + "\n".join(lines[:last]) + "\n" + match.group(3)
            header = re.sub(rf"(typedef struct {name} \{{\n)(.*?)(\}} {name};)", change, header, flags=re.S)
        path.write_text(header)
PYTHON

cat >"$work/program.c" <<'C'
#include <errno.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Memory that ends where a page begins that cannot be touched. */
static void *edge(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    char *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + room, page, PROT_NONE) != 0)
        exit(3);
    return (char *)memset(at, 0, room) + room - size;
}

#define CHECK(holds)                                                                                                   \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "line %d: %s\n", __LINE__, #holds);                                                        \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Fills a result of which the bytes were 0xff before; what the library does not know is 0. */
#ifdef NEWER
#define KNOWS_LATER(result) CHECK((result)->later == 0)
#else
#define KNOWS_LATER(result)
#endif
#define READ(type, call)                                                                                               \
    do {                                                                                                               \
        type *result = (type *)edge(sizeof(type));                                                                     \
        memset(result, 0xff, sizeof(type));                                                                            \
        CHECK((call) == 0);                                                                                            \
        KNOWS_LATER(result);                                                                                           \
    } while (0)

static ssize_t ends(void *self, void *buffer, size_t size, bool *ret_end)
{
    (void)self, (void)buffer, (void)size;
    *ret_end = true;
    return 0;
}

static int flush(void *context, const void *items, size_t count)
{
    (void)context, (void)items, (void)count;
    return 0;
}

static int chunk(void *context, const hr_chunk *got)
{
    (void)context, (void)got;
    return 0;
}

int main(void)
{
    hr_guard *guard;
    hr_guard_options *options = edge(sizeof *options);
    options->limit_bytes = UINT64_C(64) << 20;
    options->interval_ns = -1;
#ifdef NEWER
    options->later = 1;
    CHECK(hr_guard_new(options, &guard) == -E2BIG);
    options->later = 0;
#endif
    CHECK(hr_guard_new(options, &guard) == 0);
    hr_figures *figures = edge(sizeof *figures);
    CHECK(hr_guard_read(guard, figures) == 0 && figures->limit_bytes == options->limit_bytes);
    READ(hr_figures, hr_guard_read(guard, result));
    READ(hr_thresholds, hr_guard_thresholds(guard, result));
    READ(hr_history_file_figures, hr_history_file_read(guard, result));
    READ(hr_budget_figures, hr_budget_read(hr_guard_root(guard), result));
    CHECK(hr_budget_charge(hr_guard_root(guard), UINT64_C(65) << 20) == -EDQUOT);
    READ(hr_refusal, hr_budget_refusal(result));

    hr_byte_pool *bytes;
    hr_byte_pool_options *byte_options = edge(sizeof *byte_options);
    byte_options->size_bytes = 4096;
    CHECK(hr_byte_pool_new(guard, byte_options, &bytes) == 0);
    READ(hr_pool_figures, hr_byte_pool_read(bytes, result));
    hr_object_pool *objects;
    hr_object_pool_options *object_options = edge(sizeof *object_options);
    object_options->size = 64;
    CHECK(hr_object_pool_new(guard, object_options, &objects) == 0);
    READ(hr_pool_figures, hr_object_pool_read(objects, result));
    hr_slice_pool *slices;
    hr_slice_pool_options *slice_options = edge(sizeof *slice_options);
    slice_options->item_size = 8;
    CHECK(hr_slice_pool_new(guard, slice_options, &slices) == 0);
    READ(hr_pool_figures, hr_slice_pool_read(slices, result));
    hr_cache *cache;
    hr_cache_options *cache_options = edge(sizeof *cache_options);
    cache_options->name = "cache";
    CHECK(hr_cache_new(guard, cache_options, &cache) == 0);
    READ(hr_cache_figures, hr_cache_read(cache, result));

    hr_batch *batch;
    hr_batch_options *batch_options = edge(sizeof *batch_options);
    batch_options->item_bytes = 8;
    batch_options->items_max = 4;
    batch_options->on_flush = flush;
    CHECK(hr_batch_new(batch_options, &batch) == 0);
    READ(hr_batch_figures, hr_batch_read(batch, result));
    hr_stream_options *stream_options = edge(sizeof *stream_options);
    stream_options->reader = hr_reader_custom(ends, NULL);
    stream_options->on_chunk = chunk;
    READ(hr_stream_result, hr_stream_run(stream_options, result));
    hr_stream *stream;
    CHECK(hr_stream_new(stream_options, &stream) == 0);
    READ(hr_stream_result, hr_stream_continue(stream, result));
    hr_survey *survey;
    CHECK(hr_survey_new(edge(sizeof(hr_survey_options)), &survey) == 0);

    hr_trend *trend = edge(sizeof *trend);
    int error = hr_trend_read(guard, trend);
    CHECK(error == 0 || error == -ENODATA);
    hr_page_parts *parts = edge(sizeof *parts);
    error = hr_page_read_parts(parts);
    CHECK(error == 0 || error == -ENOTSUP);

    hr_survey_free(survey);
    hr_stream_free(stream);
    CHECK(hr_batch_free(batch) == 0 && hr_cache_free(cache) == 0);
    CHECK(hr_slice_pool_free(slices) == 0 && hr_object_pool_free(objects) == 0 && hr_byte_pool_free(bytes) == 0);
    hr_guard_free(guard);
    return 0;
}
C

for age in older newer; do
    for level in -O0 -O2; do
        define=-DOLDER
        [ "$age" = older ] || define=-DNEWER
        if ! "$compiler" -std=gnu11 -Wall -Wno-unused-value "$level" "$define" -I"$work/$age" "$work/program.c" \
            -o "$work/program" \
            -L"$build_dir/src" -lheadroom -Wl,-rpath,"$build_dir/src" -pthread 2>"$work/log"; then
            sed 's/^/    /' "$work/log"
            echo "the program does not compile with $age headers"
            failed=1
            continue
        fi
        status=0
        LD_LIBRARY_PATH=$build_dir/src "$work/program" || status=$?
        [ "$status" = 0 ] || { echo "a program compiled with $age headers ($level) ends with $status"; failed=1; }
    done
done
exit "$failed"
