/* matrix: the product of two matrices, by a grid of processes in lockstep (a systolic array).

   Each element of the product is a process. The rows of A come in from the west, the columns of B
   from the north; a cell multiplies what arrives, adds it up, and passes both on:

                  B         B         B
                  v         v         v
         A --> [cell] -> [cell] -> [cell] --> drain
                  v         v         v
         A --> [cell] -> [cell] -> [cell] --> drain
                  v         v         v
                drain     drain     drain

   The cells of a row are light processes of one forked worker, so what goes east stays in a
   worker and what goes south crosses over. No clock is needed: the channels keep the step. It
   cannot deadlock, since data flows in two directions only and never in a circle. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: matrix [n]\n"
    "\n"
    "Multiplies two n by n (8) matrices of whole numbers by a grid of n * n processes, in\n"
    "n + 2 forked workers, and compares with the product that three loops give. Prints it\n"
    "if n is 8 or less.\n";

enum { MOST = 64 };

struct element {
    int row, column;
    long value;
};

static long a_at(int row, int column)
{
    return (row * 7 + column * 3) % 10 - 4;
}

static long b_at(int row, int column)
{
    return (row * 5 + column * 11) % 13 - 6;
}

PROCESS(feed_row_of_a, VAL(int, n), VAL(int, row), OUT(long, east))
{
    for (int k = 0; k < n; k++)
        WRITE(east, a_at(row, k));
}

PROCESS(feed_column_of_b, VAL(int, n), VAL(int, column), OUT(long, south))
{
    for (int k = 0; k < n; k++)
        WRITE(south, b_at(k, column));
}

PROCESS(drain, IN(long, in))
{
    for (;;)
        (void)READ(in);
}

PROCESS(cell, VAL(int, n), VAL(int, row), VAL(int, column), IN(long, west), IN(long, north),
        OUT(long, east), OUT(long, south), OUT(struct element, product))
{
    long sum = 0;
    for (int k = 0; k < n; k++) {
        long a = READ(west), b = READ(north);
        sum += a * b;
        WRITE(east, a);
        WRITE(south, b);
    }
    WRITE(product, ((struct element){row, column, sum}));
}

PROCESS(printer, VAL(int, n), IN(struct element, product))
{
    static long c[MOST][MOST];
    for (int i = 0; i < n * n; i++) {
        struct element e = READ(product);
        c[e.row][e.column] = e.value;
    }
    for (int row = 0; row < n; row++) {
        for (int column = 0; column < n; column++) {
            long sum = 0;
            for (int k = 0; k < n; k++)
                sum += a_at(row, k) * b_at(k, column);
            demo_expect(c[row][column] == sum, "an element differs from the one that a loop finds");
            if (n <= 8)
                printf("%5ld%c", sum, column == n - 1 ? '\n' : ' ');
        }
    }
    printf("%d processes multiplied two %d by %d matrices, as a loop does\n", n * n, n, n);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int n = demo_size(argc, argv, 1, 8, 1, MOST);

    /* across[row][k] leads to the cell in column k, down[k][column] to the one in row k. */
    static CHAN(long) across[MOST][MOST + 1];
    static CHAN(long) down[MOST + 1][MOST];
    for (int i = 0; i < n; i++)
        if (CHANNELS(long, across[i], n + 1) != 0)
            return 1;
    for (int i = 0; i <= n; i++)
        if (CHANNELS(long, down[i], n) != 0)
            return 1;
    CHAN(struct element) product = CHANNEL(struct element);

    uvcsp_process workers[MOST + 2], group[2 * MOST];
    for (int row = 0; row < n; row++) {
        for (int column = 0; column < n; column++)
            group[column] = cell(n, row, column, across[row][column], down[row][column],
                                 across[row][column + 1], down[row + 1][column], product);
        group[n] = feed_row_of_a(n, row, across[row][0]);
        group[n + 1] = drain(across[row][n]);
        workers[row] = uvcsp_worker(group, (size_t)n + 2);
    }
    for (int column = 0; column < n; column++) {
        group[column] = feed_column_of_b(n, column, down[0][column]);
        group[n + column] = drain(down[n][column]);
    }
    workers[n] = uvcsp_worker(group, 2 * (size_t)n);
    workers[n + 1] = printer(n, product);
    return uvcsp_par(workers, (size_t)n + 2) != 0;
}
