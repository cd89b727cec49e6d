/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed input with the Nth allocation failing, those inside zlib and libzstd too: all of it, or an error that says
 * so; and nothing is left behind.
 */
#include "support/cmocka.h"
#include "support/drip.h"
#include "support/fault.h"
#include "support/pack.h"

#include <headroom/headroom.h>

#define SIZE 40000

static char input[SIZE];
static unsigned char packed[2 * SIZE];
static hrt_sink sink;
static hr_guard *guard;

typedef struct scenario {
    hr_codec codec;
    hr_budget *budget;
    size_t size; /* of what is packed */
} scenario;

static void unpack(void *context)
{
    const scenario *self = context;
    hrt_drip drip = {.data = (char *)packed, .size = self->size, .step = 1000};
    hr_decoder_options options = {.reader = hr_reader_custom(hrt_drip_read, &drip), .budget = self->budget};
    hr_decoder *decoder = NULL;
    int error = hr_decoder_new(&options, &decoder);
    assert_true(!error || (error == -ENOMEM && hrt_fault_failed() > 0));
    if (error)
        return;
    memset(&sink, 0, sizeof sink);
    hr_stream_options stream = {.reader = hr_reader_decoder(decoder),
                                .buffer_bytes = 4096,
                                .budget = self->budget,
                                .on_chunk = hrt_sink_take,
                                .context = &sink};
    hr_stream_result result;
    error = hr_stream_run(&stream, &result);
    assert_true(!error || (error == -ENOMEM && hrt_fault_failed() > 0));
    assert_int_equal(result.offset, sink.size);
    assert_true(hrt_sink_has(&sink, input, error ? sink.size : SIZE));
    hr_decoder_free(decoder);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
}

static void every_allocation(void **state)
{
    (void)state;
    const hr_codec codecs[] = {HR_CODEC_PLAIN, HR_CODEC_GZIP, HR_CODEC_ZSTD};
    for (size_t i = 0; i < 3; i++) {
        if (!hr_codec_is_known(codecs[i]))
            continue;
        scenario self = {.codec = codecs[i], .size = hrt_pack(codecs[i], packed, sizeof packed, input, SIZE)};
        /* Those of a codec are more than those of none: the decoder, its buffer, the stream and its buffer. */
        uint64_t least = codecs[i] == HR_CODEC_PLAIN ? 8 : 14;
        assert_true(hrt_each_fault(unpack, &self) >= least);
        self.budget = hr_guard_root(guard);
        assert_true(hrt_each_fault(unpack, &self) >= least);
    }
}

/* A budget that becomes short at any allocation is told from a machine that is. */
static void every_byte_of_budget(void **state)
{
    (void)state;
    const hr_codec codecs[] = {HR_CODEC_GZIP, HR_CODEC_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        if (!hr_codec_is_known(codecs[i]))
            continue;
        size_t size = hrt_pack(codecs[i], packed, sizeof packed, input, SIZE);
        unsigned refused = 0, taken = 0;
        for (uint64_t limit_bytes = 60000; taken == 0; limit_bytes += 1000) {
            hr_budget *small;
            hr_decoder *decoder;
            hrt_drip drip = {.data = (char *)packed, .size = size};
            assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", limit_bytes, &small), 0);
            hr_decoder_options options = {.reader = hr_reader_custom(hrt_drip_read, &drip), .budget = small};
            int error = hr_decoder_new(&options, &decoder);
            if (!error) {
                hr_stream_options stream = {
                    .reader = hr_reader_decoder(decoder), .on_chunk = hrt_sink_take, .context = &sink};
                memset(&sink, 0, sizeof sink);
                error = hr_stream_run(&stream, NULL);
                hr_decoder_free(decoder);
            }
            assert_true(error == 0 || error == -EDQUOT);
            refused += error != 0;
            taken += error == 0;
            assert_int_equal(hr_budget_free(small), 0);
            assert_true(limit_bytes < 4 * MIB);
        }
        assert_true(refused > 10);
    }
}

static int set_up(void **state)
{
    (void)state;
    hrt_fill_lines(input, SIZE);
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(every_byte_of_budget),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
