/* SPDX-License-Identifier: BSD-3-Clause */
/* The terminal: a sample every --delay seconds, and keys in between. */
#include <curses.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/top/top.h"

/* What happens at least so often: a process that ends is noticed. */
#define STEP_MS 200

typedef struct screen_t {
    const top_process_t *process;
    const top_options_t *options;
    top_snapshot_t before, now; /* now is what is shown. */
    top_view_t view;
    uint64_t next_ns, samples;
    bool quit;
} screen_t;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/* ---- Drawing ------------------------------------------------------------------------------------- */

static void put_line(int y, const char *line, int attribute)
{
    attrset(attribute);
    mvaddstr(y, 0, line);
    attrset(A_NORMAL);
}

/* How many rows the table gets: the details get what is left, but at least three lines where there is room. */
static int rows_shown(const screen_t *screen, int height)
{
    int room = height - TOP_VIEW_HEAD, rows = (int) screen->view.now->count;
    int most = room > 6 ? room - 4 : room;
    return rows < most ? rows : most;
}

/* Keep the selected row among those that are shown. */
static void scroll_to_selected(top_view_t *view, int rows)
{
    if (view->now->count > 0 && view->selected >= view->now->count) {
        view->selected = view->now->count - 1;
    }
    if (view->selected < view->first) {
        view->first = view->selected;
    } else if (rows > 0 && view->selected >= view->first + (size_t) rows) {
        view->first = view->selected - (size_t) rows + 1;
    }
}

static void draw(screen_t *screen)
{
    top_view_t *view = &screen->view;
    char line[TOP_LINE];
    int height, width;
    getmaxyx(stdscr, height, width);
    int rows = rows_shown(screen, height);
    scroll_to_selected(view, rows);
    erase();
    for (int i = 0; i < TOP_VIEW_HEAD && i < height; i++) {
        top_view_head(view, i, width, line);
        put_line(i, line, i == TOP_VIEW_HEAD - 1 ? A_REVERSE : A_NORMAL);
    }
    for (int i = 0; i < rows && view->first + (size_t) i < view->now->count; i++) {
        size_t index = view->first + (size_t) i;
        top_view_row(view, &view->now->caches[index], width, line);
        put_line(TOP_VIEW_HEAD + i, line, index == view->selected ? A_BOLD : A_NORMAL);
    }
    int y = TOP_VIEW_HEAD + rows + 1;
    for (int i = 0; y < height && top_view_detail(view, i, width, line); i++) {
        put_line(y++, line, A_NORMAL);
    }
    refresh();
}

/* ---- Samples ------------------------------------------------------------------------------------- */

static void sample(screen_t *screen)
{
    top_snapshot_t next;
    screen->next_ns = now_ns() + (uint64_t) (screen->options->delay * 1e9);
    if (!top_read(screen->process, &next)) {
        return; /* No memory now: what is shown stays. */
    }
    if (next.count == 0 && screen->now.count > 0 && top_state(screen->process) != TOP_RUNS) {
        top_free(&next); /* It has put away its caches, to end: those seen last stay. */
        return;
    }
    top_free(&screen->before);
    screen->before = screen->now;
    screen->now = next;
    screen->view.before = screen->samples == 0 ? NULL : &screen->before;
    screen->samples++;
    top_sort(&screen->now, screen->view.before, screen->view.order);
}

/* ---- Keys ---------------------------------------------------------------------------------------- */

static void press(screen_t *screen, int key)
{
    top_view_t *view = &screen->view;
    if (key == 'q') {
        screen->quit = true;
    } else if (key == 'p' || key == ' ') {
        view->paused = !view->paused;
    } else if (key == 's') {
        view->order = (view->order + 1) % TOP_ORDERS;
        top_sort(&screen->now, view->before, view->order);
    } else if ((key == KEY_UP || key == 'k') && view->selected > 0) {
        view->selected--;
    } else if ((key == KEY_DOWN || key == 'j') && view->selected + 1 < view->now->count) {
        view->selected++;
    }
}

/* Until it is time for the next sample. KEY_RESIZE, too, only has us draw again. */
static void wait_for_keys(screen_t *screen)
{
    uint64_t now = now_ns();
    uint64_t left_ms = screen->next_ns > now ? (screen->next_ns - now) / 1000000 + 1 : 0;
    timeout((int) (left_ms < STEP_MS ? left_ms : STEP_MS));
    int key = getch();
    if (key != ERR) {
        press(screen, key);
        draw(screen);
    }
}

static bool is_enough(const screen_t *screen)
{
    return screen->options->count != 0 && screen->samples >= screen->options->count;
}

static void run(screen_t *screen)
{
    top_state_t state = TOP_RUNS;
    while (!screen->quit && state == TOP_RUNS && !is_enough(screen)) {
        if (now_ns() >= screen->next_ns && !screen->view.paused) {
            sample(screen);
            draw(screen);
        } else if (now_ns() >= screen->next_ns) {
            screen->next_ns = now_ns() + STEP_MS * UINT64_C(1000000);
        }
        wait_for_keys(screen);
        state = top_state(screen->process);
    }
    if (state != TOP_RUNS) {
        sample(screen); /* The mapping outlives the process. */
    }
}

/* ---- The terminal -------------------------------------------------------------------------------- */

static SCREEN *open_terminal(void)
{
    const char *name = getenv("TERM");
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
        fputs("opalmem-top: standard input or output is no terminal: use --batch or --json\n", stderr);
        return NULL;
    }
    SCREEN *terminal = name == NULL || *name == '\0' ? NULL : newterm(NULL, stdout, stdin);
    if (terminal == NULL) {
        fprintf(stderr,
                "opalmem-top: TERM is %s%s, which is no terminal that is known here: use --batch or --json\n",
                name == NULL ? "not set" : "",
                name == NULL    ? ""
                : *name == '\0' ? "empty"
                                : name);
        return NULL;
    }
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    return terminal;
}

int top_screen_run(const top_process_t *process, const top_options_t *options, top_snapshot_t *last)
{
    char program[64];
    screen_t screen = { .process = process, .options = options };
    SCREEN *terminal = open_terminal();
    if (terminal == NULL) {
        return TOP_FAILED;
    }
    top_program_name(process, program, sizeof program);
    screen.view =
        (top_view_t){ .pid = process->pid, .program = program, .now = &screen.now, .order = TOP_BY_HITS };
    run(&screen);
    endwin();
    delscreen(terminal);
    top_free(&screen.before);
    *last = screen.now;
    return TOP_OK;
}
