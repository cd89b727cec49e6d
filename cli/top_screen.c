/* SPDX-License-Identifier: Apache-2.0 */
/* headroom top, live: a screen by ncurses, where the build had it. */
#include "top.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool top_has_unicode(void)
{
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

#ifndef HEADROOM_HAS_NCURSES

int top_show(struct top *top)
{
    (void)top;
    fprintf(stderr, "headroom top: this headroom was built without ncurses: install it (Debian: apt-get install "
                    "libncurses-dev) and build again, or write 'headroom top --once'\n");
    return EXIT_FAILED;
}

#else

#include <ncurses.h>

#define LOOK_MS 1000

static void paint(hr_level level)
{
    static const short colors[] = {COLOR_GREEN, COLOR_YELLOW, COLOR_MAGENTA, COLOR_RED};
    if (!wants_colours(stdout) || !has_colors())
        return;
    start_color();
    use_default_colors();
    init_pair((short)(level + 1), colors[level], -1);
}

static void put_rows(const struct top *top, size_t first)
{
    char line[512];
    int height = LINES - 3, width = COLS;
    size_t spark = width > 97 ? (size_t)width - 97 : 0;
    for (int i = 0; i < height && first + (size_t)i < top->count; i++) {
        const hr_status *status = &top->list[first + (size_t)i];
        top_write_line(status, top_has_unicode(), spark, line, sizeof line);
        attr_t look = wants_colours(stdout) && has_colors() ? COLOR_PAIR(status->level + 1) : 0;
        if (status->level >= HR_DEGRADED)
            look |= A_BOLD;
        attron(look);
        mvaddnstr(i + 2, 0, line, spark ? -1 : COLS); /* bytes, so a line with bars is cut by their number */
        attroff(look);
    }
}

static void put_screen(const struct top *top, size_t first, int error, bool typing)
{
    char head[256], title[256];
    erase();
    if (error)
        snprintf(title, sizeof title, "headroom top: /dev/shm cannot be listed: %s", strerror(-error));
    else
        snprintf(title, sizeof title, "headroom top: %zu process%s, by %s%s%s%s   [s]ort [r]everse [/]filter [q]uit",
                 top->count, top->count == 1 ? "" : "es", top_order_text(top->order), top->reversed ? ", reversed" : "",
                 *top->filter || typing ? ", with " : "", top->filter);
    mvaddnstr(0, 0, title, COLS);
    top_write_head(head, sizeof head);
    attron(A_REVERSE);
    mvaddnstr(1, 0, head, COLS);
    attroff(A_REVERSE);
    put_rows(top, first);
    refresh();
}

/* A key while a filter is typed. Gives whether it goes on. */
static bool type(struct top *top, int key)
{
    size_t length = strlen(top->filter);
    if (key == 27)
        top->filter[0] = '\0';
    if (key == '\n' || key == KEY_ENTER || key == 27)
        return false;
    if ((key == KEY_BACKSPACE || key == 127 || key == 8) && length > 0)
        top->filter[length - 1] = '\0';
    else if (key >= ' ' && key <= '~' && length + 1 < sizeof top->filter) {
        top->filter[length] = (char)key;
        top->filter[length + 1] = '\0';
    }
    return true;
}

/* The other keys. Gives whether it goes on. */
static bool obey(struct top *top, int key, size_t *first, bool *ret_typing)
{
    if (key == 's')
        top->order = (top->order + 1) % BY_COUNT;
    else if (key == 'r')
        top->reversed = !top->reversed;
    else if (key == '/')
        *ret_typing = true;
    else if (key == 27)
        top->filter[0] = '\0';
    else if (key == KEY_DOWN && *first + 1 < top->count)
        ++*first;
    else if (key == KEY_UP && *first > 0)
        --*first;
    return key != 'q';
}

int top_show(struct top *top)
{
    if (!isatty(STDOUT_FILENO)) {
        fprintf(stderr, "headroom top: this is no terminal: write 'headroom top --once', or --json\n");
        return EXIT_FAILED;
    }
    setlocale(LC_CTYPE, "");
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        fprintf(stderr, "headroom top: the terminal '%s' is not known: write 'headroom top --once'\n",
                getenv("TERM") ? getenv("TERM") : "");
        return EXIT_FAILED;
    }
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    set_escdelay(50);
    timeout(LOOK_MS);
    for (hr_level level = HR_NORMAL; level <= HR_CRITICAL; level++)
        paint(level);
    size_t first = 0;
    for (bool on = true, typing = false; on;) {
        int error = top_look(top);
        if (first >= top->count)
            first = 0;
        put_screen(top, first, error, typing);
        int key = getch();
        if (key != ERR && typing)
            typing = type(top, key);
        else if (key != ERR)
            on = obey(top, key, &first, &typing);
    }
    endwin();
    delscreen(screen);
    return 0;
}

#endif
