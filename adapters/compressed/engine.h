/* SPDX-License-Identifier: Apache-2.0 */
/* The work of a codec for the decoder. */
#ifndef HEADROOM_COMPRESSED_ENGINE_H
#define HEADROOM_COMPRESSED_ENGINE_H

#include <headroom/compressed.h>

/* Enough to tell kinds apart. */
#define MAGIC_BYTES 4

/* Does a zstd frame begin here, or one that is to be passed over? Frames of versions before 1.0 begin otherwise. */
static inline bool is_zstd(const unsigned char bytes[MAGIC_BYTES])
{
    if (bytes[0] == 0x28 && bytes[1] == 0xb5 && bytes[2] == 0x2f && bytes[3] == 0xfd)
        return true;
    return (bytes[0] & 0xf0) == 0x50 && bytes[1] == 0x2a && bytes[2] == 0x4d && bytes[3] == 0x18;
}

typedef struct engine_io {
    const unsigned char *in;
    size_t in_size; /* less what was taken, afterwards */
    unsigned char *out;
    size_t out_size; /* less what was given, afterwards */
    unsigned wholes; /* that have ended, afterwards */
} engine_io;

/* The payer of an engine's memory, and how its last allocation failed: a codec only says that one did. */
typedef struct engine_memory {
    hr_budget *budget; /* NULL: nobody */
    int error;         /* -EDQUOT or -ENOMEM; 0: none has failed */
} engine_memory;

typedef struct engine {
    /* Gives a state; NULL: the memory says why. */
    void *(*open)(engine_memory *memory, const hr_decoder_options *options);
    /* Unpacks what it can. `*ret_ended` says whether that came to the end of a whole. Gives 0, or a negative errno with
     * what is wrong in words; what was unpacked before stands in `io` then, too. */
    int (*decode)(void *state, engine_io *io, bool *ret_ended, const char **ret_text);
    void (*close)(void *state);
} engine;

extern const engine engine_gzip, engine_zstd;

void *engine_alloc(engine_memory *memory, size_t size);
void engine_free(engine_memory *memory, void *block);

#endif
