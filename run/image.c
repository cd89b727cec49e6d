/* SPDX-License-Identifier: Apache-2.0 */
/* A file's first 16 KiB have its headers, the name of its loader and its notes, as linkers lay them out. Where a part
 * lies further behind, nothing is known of it, and the program is tried. */
#include "image.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEAD_BYTES 16384
#define INTERPRETERS_MAX 4

/* ── pure ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Is [from, from + size) within the bytes that are there? */
static bool is_there(uint64_t from, uint64_t size, size_t there)
{
    return from <= there && size <= there - from;
}

/* "#!/bin/sh -e" */
static bool read_script(const char *bytes, size_t size, char *ret_interpreter)
{
    size_t at = 2, length = 0;
    while (at < size && (bytes[at] == ' ' || bytes[at] == '\t'))
        at++;
    while (at + length < size && length < RUN_IMAGE_TEXT_BYTES - 1 && !strchr(" \t\r\n", bytes[at + length]))
        length++;
    memcpy(ret_interpreter, bytes + at, length);
    ret_interpreter[length] = '\0';
    return length > 0;
}

static Elf64_Phdr header_at(const char *bytes, const Elf64_Ehdr *head, unsigned i)
{
    Elf64_Phdr header;
    memcpy(&header, bytes + head->e_phoff + (uint64_t)i * sizeof header, sizeof header);
    return header;
}

/* Go writes its build's number into a note whose owner is "Go". */
static bool has_go_note(const char *bytes, size_t size, const Elf64_Phdr *notes)
{
    uint64_t at = notes->p_offset, end = notes->p_offset + notes->p_filesz;
    while (is_there(at, sizeof(Elf64_Nhdr) + 4, size) && at < end) {
        Elf64_Nhdr note;
        memcpy(&note, bytes + at, sizeof note);
        if (note.n_namesz == 4 && memcmp(bytes + at + sizeof note, "Go\0", 4) == 0)
            return true;
        at += sizeof note + (note.n_namesz + UINT64_C(3)) / 4 * 4 + (note.n_descsz + UINT64_C(3)) / 4 * 4;
    }
    return false;
}

static const char *judge_elf(const char *bytes, size_t size, const Elf64_Ehdr *ours)
{
    Elf64_Ehdr head;
    memcpy(&head, bytes, sizeof head);
    const char *loader = NULL;
    bool go = false;
    if (head.e_ident[EI_CLASS] != ours->e_ident[EI_CLASS] || head.e_machine != ours->e_machine)
        return "it is built for another machine";
    if (head.e_phentsize != sizeof(Elf64_Phdr) ||
        !is_there(head.e_phoff, (uint64_t)head.e_phnum * sizeof(Elf64_Phdr), size))
        return NULL;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr header = header_at(bytes, &head, i);
        if (header.p_type == PT_INTERP)
            loader = is_there(header.p_offset, header.p_filesz, size) && header.p_filesz > 0 &&
                             bytes[header.p_offset + header.p_filesz - 1] == '\0'
                         ? bytes + header.p_offset
                         : "?";
        go |= header.p_type == PT_NOTE && has_go_note(bytes, size, &header);
    }
    if (go)
        return "it is a Go program, which maps its memory itself";
    if (!loader)
        return "it is linked statically";
    return strstr(loader, "musl") ? "it is linked to musl" : NULL;
}

bool run_image_judge(const void *bytes, size_t size, const void *machine_of, char *ret_interpreter,
                     const char **ret_why)
{
    const char *text = bytes;
    ret_interpreter[0] = '\0';
    *ret_why = NULL;
    if (size >= 2 && text[0] == '#' && text[1] == '!')
        return read_script(text, size, ret_interpreter) || true;
    if (size >= sizeof(Elf64_Ehdr) && memcmp(text, ELFMAG, SELFMAG) == 0)
        *ret_why = judge_elf(text, size, machine_of);
    return !*ret_why;
}

/* ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static ssize_t read_head(const char *path, char bytes[HEAD_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, bytes, HEAD_BYTES);
    close(fd);
    return got;
}

/* As execvp() does. Gives false where there is none: exec says why. */
static bool find(const char *command, char path[PATH_MAX])
{
    if (strchr(command, '/'))
        return snprintf(path, PATH_MAX, "%s", command) < PATH_MAX;
    const char *folders = getenv("PATH");
    for (const char *at = folders ? folders : "/usr/bin:/bin"; *at;) {
        size_t length = strcspn(at, ":");
        if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, at, length ? "/" : "", command) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

/* A program that gains rights by being executed: ld.so loads nothing into it that the user names. */
static const char *judge_rights(const char *path)
{
    struct stat state;
    char capability[64];
    if (stat(path, &state) != 0)
        return NULL;
    if ((state.st_mode & S_ISUID && state.st_uid != geteuid()) ||
        (state.st_mode & S_ISGID && state.st_gid != getegid()))
        return "it runs with another user's rights (set-user-ID)";
    if (geteuid() != 0 && getxattr(path, "security.capability", capability, sizeof capability) > 0)
        return "it has capabilities of its file";
    return NULL;
}

bool run_image_can_enter(const char *command, char ret_why[RUN_IMAGE_TEXT_BYTES])
{
    static char bytes[HEAD_BYTES], ours[HEAD_BYTES];
    char path[PATH_MAX], interpreter[RUN_IMAGE_TEXT_BYTES];
    const char *why = NULL;
    if (!find(command, path) || read_head("/proc/self/exe", ours) < (ssize_t)sizeof(Elf64_Ehdr))
        return true;
    for (int i = 0; i < INTERPRETERS_MAX && !why; i++) {
        ssize_t got = read_head(path, bytes);
        why = judge_rights(path);
        if (got < 0 || why)
            break;
        if (!run_image_judge(bytes, (size_t)got, ours, interpreter, &why) || !interpreter[0])
            break;
        snprintf(path, sizeof path, "%s", interpreter);
    }
    if (why)
        snprintf(ret_why, RUN_IMAGE_TEXT_BYTES, "headroom's malloc cannot be loaded into %.200s: %s", path, why);
    return !why;
}
