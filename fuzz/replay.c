/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a fuzz target for each file of the folders that are given, and for parts of it from its start. So an input that
 * a fuzzer once found stays found, with any compiler. */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>

#define FILE_BYTES (1 << 20)
#define PARTS 64

/* A block of its own for each, so that a read behind its end is found. */
static void call(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size ? size : 1);
    if (!block)
        abort();
    memcpy(block, data, size);
    LLVMFuzzerTestOneInput(block, size);
    free(block);
}

static void replay(const char *path)
{
    static uint8_t data[FILE_BYTES];
    FILE *file = fopen(path, "re");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    printf("%s, %zu bytes\n", path, size);
    fflush(stdout);
    for (size_t part = 0; part < size; part += 1 + size / PARTS)
        call(data, part);
    call(data, size);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        int found = scandir(argv[i], &entries, is_input, alphasort);
        for (int k = 0; k < found; k++) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s/%s", argv[i], entries[k]->d_name);
            replay(path);
            free(entries[k]);
            count++;
        }
        if (found >= 0)
            free(entries);
    }
    if (count == 0) {
        fprintf(stderr, "usage: replay FOLDER...; the folders have no file\n");
        return 1;
    }
    return 0;
}
