/* life: Conway's game of life, on a board that is cut into strips.

   Each strip of the board belongs to a worker. In each generation a worker gives a copy of its
   top and bottom rows to the workers above and below (the board is a torus: the last strip lies
   above the first), gets theirs, and then knows all it needs for the next generation of its own
   rows.

   The channels between neighbours have room for one row. So all can write first and then read;
   with a rendezvous they would all wait in WRITE for each other.

   The screen is a process as well: it collects the strips from the top down. It also plays the
   game by itself, and compares. */
#include <unistd.h>
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: life [columns] [rows] [generations] [strips]\n"
    "\n"
    "Plays `generations` (100) of Conway's game of life on a board of 64 columns and 20\n"
    "rows, with one forked worker for each of its `strips` (4). In a terminal you see\n"
    "them all; otherwise only the last generation is printed.\n";

enum { MOST = 256 };

struct row {
    bool alive[MOST];
};

/* A soup that is the same each time. */
static struct row first_row(int y, int columns)
{
    struct row row = {{0}};
    for (int x = 0; x < columns; x++) {
        uint32_t z = (uint32_t)(y * MOST + x + 1) * 2654435769u;
        z = (z ^ (z >> 15)) * 2246822519u;
        row.alive[x] = (z >> 16) % 3 == 0;
    }
    return row;
}

static struct row next_row(const struct row *above, const struct row *row, const struct row *below,
                           int columns)
{
    struct row next = {{0}};
    for (int x = 0; x < columns; x++) {
        int left = (x + columns - 1) % columns, right = (x + 1) % columns;
        int n = above->alive[left] + above->alive[x] + above->alive[right] + row->alive[left] +
                row->alive[right] + below->alive[left] + below->alive[x] + below->alive[right];
        next.alive[x] = n == 3 || (n == 2 && row->alive[x]);
    }
    return next;
}

/* now[1] to now[rows] become the next generation; now[0] and now[rows + 1] are what lies around
   them. */
static void next_generation(struct row *now, int rows, int columns)
{
    struct row above = now[0];
    for (int y = 1; y <= rows; y++) {
        struct row row = now[y];
        now[y] = next_row(&above, &row, &now[y + 1], columns);
        above = row;
    }
}

PROCESS(strip, VAL(int, first), VAL(int, rows), VAL(int, columns), VAL(int, generations),
        IN(struct row, from_above), IN(struct row, from_below), OUT(struct row, to_above),
        OUT(struct row, to_below), OUT(struct row, screen))
{
    struct row *now = calloc((size_t)rows + 2, sizeof *now);
    DEFER(free, now);
    for (int y = 1; y <= rows; y++)
        now[y] = first_row(first + y - 1, columns);

    for (int g = 0; g < generations; g++) {
        WRITE(to_above, now[1]);
        WRITE(to_below, now[rows]);
        now[0] = READ(from_above);
        now[rows + 1] = READ(from_below);
        next_generation(now, rows, columns);
        for (int y = 1; y <= rows; y++)
            WRITE(screen, now[y]);
    }
}

static void draw(const struct row *board, int rows, int columns)
{
    for (int y = 1; y <= rows; y++) {
        for (int x = 0; x < columns; x++)
            putchar(board[y].alive[x] ? 'o' : '.');
        putchar('\n');
    }
    fflush(stdout);
}

PROCESS(screen, VAL(int, rows), VAL(int, columns), VAL(int, generations),
        INS(struct row, in, strips))
{
    struct row *seen = calloc((size_t)rows + 2, sizeof *seen);
    struct row *alone = calloc((size_t)rows + 2, sizeof *alone);
    DEFER(free, seen);
    DEFER(free, alone);
    for (int y = 1; y <= rows; y++)
        alone[y] = first_row(y - 1, columns);

    bool terminal = isatty(STDOUT_FILENO);
    for (int g = 1; g <= generations; g++) {
        for (size_t s = 0, y = 1; s < strips; s++)
            for (; y <= (size_t)rows * (s + 1) / strips; y++)
                seen[y] = READ(in[s]);
        alone[0] = alone[rows];
        alone[rows + 1] = alone[1];
        next_generation(alone, rows, columns);
        demo_expect(memcmp(seen + 1, alone + 1, (size_t)rows * sizeof *seen) == 0,
                    "strips and the whole board come to different generations");
        if (terminal) {
            printf("%sgeneration %d\n", g == 1 ? "\033[2J\033[H" : "\033[H", g);
            draw(seen, rows, columns);
            uvcsp_sleep(0.05);
        }
    }
    if (!terminal) {
        printf("generation %d\n", generations);
        draw(seen, rows, columns);
    }
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 4, help);
    int columns = demo_size(argc, argv, 1, 64, 3, MOST);
    int rows = demo_size(argc, argv, 2, 20, 3, 10000);
    int generations = demo_size(argc, argv, 3, 100, 1, 1000000);
    int strips = demo_size(argc, argv, 4, rows < 4 ? rows : 4, 1, rows < 64 ? rows : 64);

    /* down[s] leads from strip s to the one below it, up[s] from strip s to the one above it. */
    CHAN(struct row) down[64], up[64], to_screen[64];
    if (CHANNELS(struct row, down, strips, .capacity = 1) != 0 ||
        CHANNELS(struct row, up, strips, .capacity = 1) != 0 ||
        CHANNELS(struct row, to_screen, strips) != 0)
        return 1;

    uvcsp_process ps[64 + 1];
    for (int s = 0; s < strips; s++) {
        int first = rows * s / strips, end = rows * (s + 1) / strips;
        ps[s] = strip(first, end - first, columns, generations, down[(s + strips - 1) % strips],
                      up[(s + 1) % strips], up[s], down[s], to_screen[s]);
    }
    ps[strips] = screen(rows, columns, generations, to_screen, (size_t)strips);
    return uvcsp_par(ps, (size_t)strips + 1) != 0;
}
