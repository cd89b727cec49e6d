/* SPDX-License-Identifier: Apache-2.0 */
/* A whole tree: the input's parts, which lines "--" separate, become the files of a machine that is surveyed. */
#include "fuzz.h"

#include <headroom/survey.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static const char *const files[] = {
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory.stat",
    "/sys/fs/cgroup/memory.current",
    "/sys/fs/cgroup/app/memory.max",
    "/sys/fs/cgroup/app/memory.stat",
    "/sys/fs/cgroup/app/memory.limit_in_bytes",
    "/proc/meminfo",
};

#define FILES (sizeof files / sizeof *files)

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status, (void)kind, (void)at;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_root(void)
{
    static const char *const folders[] = {"/proc",   "/proc/self",     "/sys",
                                          "/sys/fs", "/sys/fs/cgroup", "/sys/fs/cgroup/app"};
    strcpy(root, "/tmp/headroom-fuzz-XXXXXX");
    if (!mkdtemp(root))
        abort();
    atexit(remove_root);
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", root, folders[i]);
        if (mkdir(path, 0755) != 0)
            abort();
    }
}

static void write_file(const char *file, const char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", root, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void write_files(char *text)
{
    for (unsigned i = 0; i < FILES; i++) {
        char *end = strstr(text, "--\n");
        size_t size = end ? (size_t)(end - text) : strlen(text);
        write_file(files[i], text, size);
        text += size + (end ? 3 : 0);
    }
}

static void check(const hr_survey *survey)
{
    unsigned binding = 0, deciding = 0;
    HRF_CHECK(survey->level >= HR_NORMAL && survey->level <= HR_CRITICAL);
    HRF_CHECK(survey->use >= 0);
    HRF_CHECK((survey->limit_bytes == HR_NONE) == !survey->limit_source);
    HRF_CHECK(survey->cgroup_version >= 0 && survey->cgroup_version <= 2);
    HRF_CHECK(!survey->cgroup_path || survey->cgroup_path[0] == '/');
    for (size_t i = 0; i < survey->ledger_count; i++) {
        const hr_ledger *ledger = &survey->ledgers[i];
        HRF_CHECK(ledger->name && ledger->source && ledger->measures);
        HRF_CHECK(ledger->limit_bytes >= survey->limit_bytes || strcmp(ledger->name, "host") == 0);
        binding += ledger->binds;
        deciding += ledger->decides;
        if (ledger->binds)
            HRF_CHECK(strcmp(ledger->source, survey->limit_source) == 0);
    }
    HRF_CHECK(binding == (survey->limit_bytes != HR_NONE));
    HRF_CHECK(deciding <= 1);
    for (size_t i = 0; i < survey->unseen_count; i++)
        HRF_CHECK(survey->unseen[i][0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (memmem(data, size, "..", 2)) /* out of our root are the files of the machine */
        return 0;
    if (!root[0])
        make_root();
    char *text = hrf_text(data, size);
    write_files(text);
    hr_survey *survey, *again;
    HRF_CHECK(hr_survey_new(&(hr_survey_options){.root = root}, &survey) == 0);
    check(survey);
    HRF_CHECK(hr_survey_new(&(hr_survey_options){.root = root}, &again) == 0);
    HRF_CHECK(survey->limit_bytes == again->limit_bytes && survey->level == again->level);
    hr_survey_free(survey);
    hr_survey_free(again);
    free(text);
    return 0;
}
