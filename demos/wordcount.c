/* wordcount: the words of real files, counted by a farm of workers.

   The splitter reads the files and cuts them into blocks of about 64 KiB, between words.
   Whichever worker is free takes the next block and says how many words are in it; the collector
   adds up for each file. The blocks are messages of any length (uvcsp_bytes).

                  +--> worker --+
     splitter ----+--> worker --+----> collector
                  +--> worker --+

   The output is that of `wc -w` for the same files. */
#include <errno.h>
#include <glob.h>
#include <locale.h>
#include <sys/stat.h>
#include <uvcsp.h>
#include <wchar.h>
#include <wctype.h>

#include "common.h"

static const char help[] =
    "usage: wordcount [file...]\n"
    "\n"
    "Counts the words of the files (/usr/share/common-licenses/*) by four forked workers,\n"
    "and prints what `wc -w` prints.\n";

enum { BLOCK = 64 * 1024, WORKERS = 4 };

/* A message: the number of the file, then text. */
struct block {
    int file;
    char text[];
};

struct count {
    int file;
    long words;
    long bytes;
};

static bool is_ascii_space(wchar_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Sends the file in blocks that end between words; what is left over goes to the front of the
   next. */
static void split(const char *path, int number, OUT_END(uvcsp_bytes) blocks)
{
    FILE *f = fopen(path, "rb");
    demo_expect(f != NULL, "a file could be read a moment ago");
    size_t room = BLOCK, have = 0, got;
    struct block *block = malloc(sizeof *block + room);
    do {
        got = fread(block->text + have, 1, room - have, f);
        have += got;
        size_t cut = have;
        while (got > 0 && cut > 0 && !is_ascii_space(block->text[cut - 1]))
            cut--;
        if (cut > 0) {
            block->file = number;
            WRITE(blocks, (uvcsp_bytes){block, sizeof *block + cut});
            memmove(block->text, block->text + cut, have - cut);
            have -= cut;
        } else if (have == room) { /* a word that fills a block */
            room *= 2;
            block = realloc(block, sizeof *block + room);
        }
    } while (got > 0);
    free(block);
    fclose(f);
}

PROCESS(splitter, VAL(char **, paths), VAL(int, n), OUT(uvcsp_bytes, blocks))
{
    for (int i = 0; i < n; i++)
        split(paths[i], i, blocks);
}

static bool is_space(wchar_t c)
{
    if (is_ascii_space(c))
        return true;
    return iswprint((wint_t)c) &&
           (iswspace((wint_t)c) || c == 0xa0 || c == 0x2007 || c == 0x202f || c == 0x2060);
}

/* A word is what wc takes for one: it stands between spaces, of whatever kind the locale knows, and
   something in it can be printed. */
static long count_words(const char *text, size_t size)
{
    long words = 0;
    bool in_word = false;
    mbstate_t state = {0};
    while (size > 0) {
        wchar_t c;
        size_t length = mbrtowc(&c, text, size, &state);
        if (length == (size_t)-1 || length == (size_t)-2) { /* no character: skip a byte */
            memset(&state, 0, sizeof state);
            length = 1;
        } else if (length == 0) { /* the character 0 */
            length = 1;
        } else if (is_space(c)) {
            words += in_word;
            in_word = false;
        } else if (iswprint((wint_t)c)) {
            in_word = true;
        }
        text += length;
        size -= length;
    }
    return words + in_word;
}

PROCESS(worker, IN(uvcsp_bytes, blocks), OUT(struct count, counts))
{
    for (;;) {
        uvcsp_bytes message = READ(blocks);
        struct block *block = message.data;
        size_t size = message.size - sizeof *block;
        struct count count = {block->file, count_words(block->text, size), (long)size};
        free(block);
        WRITE(counts, count);
    }
}

PROCESS(collector, VAL(char **, paths), VAL(int, n), IN(struct count, counts))
{
    struct count *sum = calloc((size_t)n + 1, sizeof *sum), count;
    DEFER(free, sum);
    while (uvcsp_read(counts, &count) == UVCSP_OK) { /* until the last worker has retired */
        sum[count.file].words += count.words;
        sum[n].words += count.words;
        sum[n].bytes += count.bytes;
    }

    int width = n == 1 ? 1 : snprintf(NULL, 0, "%ld", sum[n].bytes);
    for (int i = 0; i < n; i++)
        printf("%*ld %s\n", width, sum[i].words, paths[i]);
    if (n > 1)
        printf("%*ld total\n", width, sum[n].words);
}

static bool can_be_read(const char *path)
{
    struct stat status;
    FILE *f = fopen(path, "rb");
    bool can = f && fstat(fileno(f), &status) == 0 && !S_ISDIR(status.st_mode);
    if (!can)
        fprintf(stderr, "%s: %s\n", path, strerror(f ? EISDIR : errno));
    if (f)
        fclose(f);
    return can;
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, argc, help);
    setlocale(LC_ALL, "");

    glob_t found = {0};
    char **paths = argv + 1;
    int n = 0, asked = argc - 1;
    if (asked == 0 && glob("/usr/share/common-licenses/*", 0, NULL, &found) == 0) {
        paths = found.gl_pathv;
        asked = (int)found.gl_pathc;
    }
    for (int i = 0; i < asked; i++) {
        if (!can_be_read(paths[i]))
            continue;
        char *path = paths[i];
        paths[i] = paths[n];
        paths[n++] = path;
    }

    CHAN(uvcsp_bytes) blocks = CHANNEL(uvcsp_bytes);
    CHAN(struct count) counts = CHANNEL(struct count);
    uvcsp_process farm[WORKERS + 2] = {splitter(paths, n, blocks), collector(paths, n, counts)};
    for (int i = 0; i < WORKERS; i++)
        farm[2 + i] = worker(blocks, counts);
    int failed = n == 0 ? 1 : uvcsp_par(farm, WORKERS + 2);
    globfree(&found);
    return failed != 0 || n < asked;
}
