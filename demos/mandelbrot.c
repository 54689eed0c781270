/* mandelbrot: a picture of the Mandelbrot set, painted by a farm of workers.

   The farmer hands out rows, whichever worker is free takes the next one, and the painter puts
   the rows together in the order in which they are finished, which is not that of the picture:
   rows through the black lake in the middle take longest.

                +--> worker --+
     farmer ----+--> worker --+----> painter --> picture.png
                +--> worker --+

   The painter writes a PNG file, and a small sketch to stdout. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: mandelbrot [width] [height] [workers] [file]\n"
    "\n"
    "Computes a picture of the Mandelbrot set, 192 by 128 points, by 4 forked workers,\n"
    "writes it to `file` (mandelbrot.png), and prints a sketch of it.\n";

enum { MOST = 8192, ROUNDS = 255 };

/* The rounds after which the point escapes; in fixed point with 28 bits behind the point, which
   gives the same picture on every machine. */
static unsigned char escape(int x, int y, int width, int height)
{
    const int64_t one = 1 << 28;
    int64_t re = (3 * x - 2 * width) * one / width;
    int64_t im = (2 * y + 1 - height) * one / height;
    int64_t a = 0, b = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t aa = (a * a) >> 28, bb = (b * b) >> 28;
        if (aa + bb > 4 * one)
            return (unsigned char)i;
        b = ((a * b) >> 27) + im;
        a = aa - bb + re;
    }
    return ROUNDS;
}

PROCESS(farmer, VAL(int, height), OUT(int, jobs))
{
    for (int y = 0; y < height; y++)
        WRITE(jobs, y);
}

/* A row as a message: its number, then its points. How long it is, the painter sees in the
   message. */
struct row {
    int y;
    unsigned char points[MOST];
};

PROCESS(worker, VAL(int, width), VAL(int, height), IN(int, jobs), OUT(uvcsp_bytes, rows))
{
    struct row *row = malloc(sizeof *row);
    DEFER(free, row);
    for (;;) {
        row->y = READ(jobs);
        for (int x = 0; x < width; x++)
            row->points[x] = escape(x, row->y, width, height);
        WRITE(rows, (uvcsp_bytes){row, offsetof(struct row, points) + (size_t)width});
    }
}

static void sketch(const unsigned char *picture, int width, int height)
{
    enum { COLUMNS = 64, LINES = 21 };
    for (int line = 0; line < LINES; line++) {
        for (int column = 0; column < COLUMNS; column++) {
            size_t y = (size_t)height * (2 * line + 1) / (2 * LINES);
            size_t x = (size_t)width * (2 * column + 1) / (2 * COLUMNS);
            int n = picture[y * (size_t)width + x];
            putchar(n == ROUNDS ? '@' : " ..::--==++**##%"[n < 16 ? n : 15]);
        }
        putchar('\n');
    }
}

static bool write_png(const char *path, const unsigned char *picture, int width, int height);

PROCESS(painter, VAL(int, width), VAL(int, height), VAL(const char *, path), IN(uvcsp_bytes, rows))
{
    unsigned char *picture = malloc((size_t)width * (size_t)height);
    DEFER(free, picture);
    for (int i = 0; i < height; i++) {
        uvcsp_bytes message = READ(rows);
        struct row *row = message.data;
        demo_expect(message.size == offsetof(struct row, points) + (size_t)width, "a row is cut");
        memcpy(picture + (size_t)row->y * (size_t)width, row->points, (size_t)width);
        free(message.data);
    }

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            demo_expect(picture[(size_t)y * (size_t)width + (size_t)x] ==
                            escape(x, y, width, height),
                        "a point differs from the one that a loop computes");
    sketch(picture, width, height);
    if (!write_png(path, picture, width, height)) {
        perror(path);
        exit(1);
    }
    printf("%d by %d points, in %s\n", width, height, path);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 4, help);
    int width = demo_size(argc, argv, 1, 192, 8, MOST);
    int height = demo_size(argc, argv, 2, 128, 8, MOST);
    int workers = demo_size(argc, argv, 3, 4, 1, 64);
    const char *path = argc > 4 ? argv[4] : "mandelbrot.png";

    CHAN(int) jobs = CHANNEL(int);
    CHAN(uvcsp_bytes) rows = CHANNEL(uvcsp_bytes);
    uvcsp_process farm[64 + 2] = {farmer(height, jobs), painter(width, height, path, rows)};
    for (int i = 0; i < workers; i++)
        farm[2 + i] = worker(width, height, jobs, rows);
    return uvcsp_par(farm, (size_t)workers + 2) != 0;
}

/* The rest is the PNG file: a signature and chunks, each with its length and a checksum. The
   picture is stored as it is, in the uncompressed blocks that deflate allows, a row in each. */

static unsigned char *put32(unsigned char *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        *to++ = (unsigned char)(n >> (24 - 8 * i));
    return to;
}

static void write_chunk(FILE *f, const char *type, const unsigned char *data, size_t size)
{
    unsigned char number[4];
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < size + 4; i++) {
        sum ^= i < 4 ? (unsigned char)type[i] : data[i - 4];
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? (sum >> 1) ^ 0xedb88320 : sum >> 1;
    }
    put32(number, (uint32_t)size);
    fwrite(number, 1, 4, f);
    fwrite(type, 1, 4, f);
    fwrite(data, 1, size, f);
    put32(number, ~sum);
    fwrite(number, 1, 4, f);
}

static bool write_png(const char *path, const unsigned char *picture, int width, int height)
{
    unsigned char head[13] = {0}, palette[256 * 3];
    head[8] = 8; /* bits a point */
    head[9] = 3; /* the points are indices into the palette */
    put32(put32(head, (uint32_t)width), (uint32_t)height);
    for (int i = 0; i < 256; i++) {
        palette[3 * i] = (unsigned char)(i == ROUNDS ? 0 : i * 6 < 255 ? i * 6 : 255);
        palette[3 * i + 1] = (unsigned char)(i == ROUNDS ? 0 : i * 3 < 255 ? i * 3 : 255);
        palette[3 * i + 2] = (unsigned char)(i == ROUNDS ? 0 : 60 + i * 195 / 255);
    }

    size_t row = (size_t)width + 1; /* each row begins with the number of its filter, 0 */
    unsigned char *data = malloc(2 + (size_t)height * (5 + row) + 4), *p = data;
    if (!data)
        return false;
    uint32_t low = 1, high = 0; /* Adler's checksum */
    *p++ = 0x78;
    *p++ = 0x01;
    for (int y = 0; y < height; y++) {
        *p++ = y == height - 1;
        *p++ = row & 0xff;
        *p++ = (unsigned char)(row >> 8);
        *p++ = ~row & 0xff;
        *p++ = (unsigned char)(~row >> 8);
        p[0] = 0;
        memcpy(p + 1, picture + (size_t)y * (size_t)width, (size_t)width);
        for (size_t i = 0; i < row; i++) {
            low = (low + *p++) % 65521;
            high = (high + low) % 65521;
        }
    }
    p = put32(p, high << 16 | low);

    FILE *f = fopen(path, "wb");
    bool done = f != NULL;
    if (done) {
        fwrite("\x89PNG\r\n\x1a\n", 1, 8, f);
        write_chunk(f, "IHDR", head, sizeof head);
        write_chunk(f, "PLTE", palette, sizeof palette);
        write_chunk(f, "IDAT", data, (size_t)(p - data));
        write_chunk(f, "IEND", data, 0);
        done = !ferror(f);
        done = fclose(f) == 0 && done;
    }
    free(data);
    return done;
}
