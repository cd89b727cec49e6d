/* SPDX-License-Identifier: Apache-2.0 */
/* What a codec does for the decoder. */
#ifndef HEADROOM_COMPRESSED_ENGINE_H
#define HEADROOM_COMPRESSED_ENGINE_H

#include <headroom/compressed.h>

typedef struct engine_io {
    const unsigned char *in;
    size_t in_size; /* less what was taken, afterwards */
    unsigned char *out;
    size_t out_size; /* less what was given, afterwards */
} engine_io;

typedef struct engine {
    /* Gives a state, or NULL with 0 or a negative errno. */
    void *(*open)(const hr_decoder_options *options, int *ret_error);
    /* Unpacks what it can. `*ret_ended` says whether that came to the end of a whole. Gives 0 or a negative errno. */
    int (*decode)(void *state, engine_io *io, bool *ret_ended);
    void (*close)(void *state);
} engine;

extern const engine engine_gzip, engine_zstd;

/* Memory of an engine, charged. */
void *engine_alloc(hr_budget *budget, size_t size);
void engine_free(hr_budget *budget, void *block);

#endif
