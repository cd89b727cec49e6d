/* SPDX-License-Identifier: Apache-2.0 */
#include "run/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <string.h>

/* A program's file: its header, some program headers, and what they point at. */
struct file {
    Elf64_Ehdr head;
    Elf64_Phdr parts[4];
    char loader[64];
    struct {
        Elf64_Nhdr head;
        char owner[4], text[8];
    } note;
};

static struct file make(const char *loader, const char *owner)
{
    struct file file = {.head = {.e_machine = EM_X86_64, .e_phentsize = sizeof(Elf64_Phdr)}};
    memcpy(file.head.e_ident, ELFMAG, SELFMAG);
    file.head.e_ident[EI_CLASS] = ELFCLASS64;
    file.head.e_phoff = offsetof(struct file, parts);
    file.parts[file.head.e_phnum++].p_type = PT_LOAD;
    if (loader) {
        strncpy(file.loader, loader, sizeof file.loader - 1);
        file.parts[file.head.e_phnum++] = (Elf64_Phdr){
            .p_type = PT_INTERP, .p_offset = offsetof(struct file, loader), .p_filesz = strlen(loader) + 1};
    }
    file.note.head = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 8, .n_type = 4};
    memcpy(file.note.owner, owner, strlen(owner));
    file.parts[file.head.e_phnum++] =
        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = offsetof(struct file, note), .p_filesz = sizeof file.note};
    return file;
}

static const char *judge(const void *bytes, size_t size)
{
    static char interpreter[RUN_IMAGE_TEXT_BYTES];
    const struct file ours = make("/lib64/ld-linux-x86-64.so.2", "GNU");
    const char *why = NULL;
    bool good = run_image_judge(bytes, size, &ours, interpreter, &why);
    assert_int_equal(good, why == NULL);
    return why ? why : interpreter;
}

static void programs_are_told_apart(void **state)
{
    (void)state;
    struct file file = make("/lib64/ld-linux-x86-64.so.2", "GNU");
    assert_string_equal(judge(&file, sizeof file), "");
    file = make(NULL, "GNU");
    assert_string_equal(judge(&file, sizeof file), "it is linked statically");
    file = make("/lib/ld-musl-x86_64.so.1", "GNU");
    assert_string_equal(judge(&file, sizeof file), "it is linked to musl");
    file = make("/lib64/ld-linux-x86-64.so.2", "Go");
    assert_string_equal(judge(&file, sizeof file), "it is a Go program, which maps its memory itself");
    file = make("/lib64/ld-linux-x86-64.so.2", "GNU");
    file.head.e_machine = EM_AARCH64;
    assert_string_equal(judge(&file, sizeof file), "it is built for another machine");
    file.head.e_machine = EM_X86_64;
    file.head.e_ident[EI_CLASS] = ELFCLASS32;
    assert_string_equal(judge(&file, sizeof file), "it is built for another machine");
}

static void scripts_name_their_interpreter(void **state)
{
    (void)state;
    assert_string_equal(judge("#!/bin/sh\n", 10), "/bin/sh");
    assert_string_equal(judge("#! /usr/bin/env perl -w\n", 24), "/usr/bin/env");
    assert_string_equal(judge("#!\t/bin/x", 9), "/bin/x");
    assert_string_equal(judge("#!\n", 3), "");
    assert_string_equal(judge("", 0), "");
    assert_string_equal(judge("\x7f"
                              "ELF",
                              4),
                        "");
}

/* Nothing is read beyond the bytes that are there: every length, and offsets that lead nowhere. */
static void broken_files_are_tried(void **state)
{
    (void)state;
    struct file file = make("/lib64/ld-linux-x86-64.so.2", "Go");
    unsigned char bytes[sizeof file];
    memcpy(bytes, &file, sizeof file);
    for (size_t size = 0; size <= sizeof file; size++)
        judge(bytes, size);
    static const uint64_t offsets[] = {0, 1, sizeof file - 1, sizeof file, UINT32_MAX, UINT64_MAX - 8, UINT64_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct file wrong = file;
        wrong.head.e_phoff = offsets[i];
        judge(&wrong, sizeof wrong);
        wrong = file;
        wrong.parts[1].p_offset = offsets[i];
        wrong.parts[2].p_offset = offsets[i];
        judge(&wrong, sizeof wrong);
        wrong = file;
        wrong.parts[1].p_filesz = offsets[i];
        wrong.parts[2].p_filesz = offsets[i];
        judge(&wrong, sizeof wrong);
        wrong = file;
        wrong.note.head.n_namesz = (uint32_t)offsets[i];
        wrong.note.head.n_descsz = (uint32_t)offsets[i];
        judge(&wrong, sizeof wrong);
    }
}

static void files_are_found_as_execvp_does(void **state)
{
    (void)state;
    char why[RUN_IMAGE_TEXT_BYTES];
    assert_true(run_image_can_enter("/no/such/program", why)); /* exec says it */
    assert_true(run_image_can_enter("no-such-program-anywhere", why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_told_apart),
        cmocka_unit_test(scripts_name_their_interpreter),
        cmocka_unit_test(broken_files_are_tried),
        cmocka_unit_test(files_are_found_as_execvp_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
