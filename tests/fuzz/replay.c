/* Runs a target without a fuzzer: each file of the corpus, and then random changes of them.

   target_... DIRECTORY|FILE... [-runs=N] [-seed=N] */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

enum { MOST_FILES = 4096, MOST_BYTES = 1 << 16 };

static struct {
    uint8_t *data;
    size_t size;
} files[MOST_FILES];
static size_t n_files;
static uint64_t dice;

static unsigned below(unsigned n)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % n;
}

static void load(const char *path)
{
    FILE *file = n_files < MOST_FILES ? fopen(path, "rbe") : NULL;
    if (!file)
        return;
    uint8_t *data = malloc(MOST_BYTES);
    size_t size = data ? fread(data, 1, MOST_BYTES, file) : 0;
    fclose(file);
    if (data) {
        files[n_files].data = data;
        files[n_files++].size = size;
    }
}

static void load_all(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        load(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        load(name);
    }
    closedir(directory);
}

/* As libFuzzer has it: the input lies in a block of just its size. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    MUST(copy);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t change(uint8_t *data, size_t size)
{
    size_t at = size ? below((unsigned)size) : 0;
    switch (below(5)) {
    case 0: /* a bit */
        if (size)
            data[at] ^= (uint8_t)(1u << below(8));
        return size;
    case 1: /* a byte */
        if (size)
            data[at] = (uint8_t)below(256);
        return size;
    case 2: /* cut off */
        return at;
    case 3: /* one in */
        if (size == MOST_BYTES)
            return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = (uint8_t)below(256);
        return size + 1;
    default: { /* the end of another one */
        size_t other = below((unsigned)n_files);
        size_t from = files[other].size ? below((unsigned)files[other].size) : 0;
        size_t n = files[other].size - from;
        n = at + n > MOST_BYTES ? MOST_BYTES - at : n;
        memcpy(data + at, files[other].data + from, n);
        return at + n;
    }
    }
}

int main(int argc, char **argv)
{
    unsigned long runs = 0;
    for (int i = 1; i < argc; i++)
        if (sscanf(argv[i], "-runs=%lu", &runs) != 1 && sscanf(argv[i], "-seed=%lu", &dice) != 1)
            load_all(argv[i]);
    const char *setup = getenv("UVCSP_STRESS");
    if (setup && strcmp(setup, "large") == 0)
        runs *= 100;
    MUST(n_files > 0);
    for (size_t i = 0; i < n_files; i++)
        run(files[i].data, files[i].size);
    static uint8_t data[MOST_BYTES];
    for (unsigned long i = 0; i < runs; i++) {
        size_t file = below((unsigned)n_files), size = files[file].size;
        memcpy(data, files[file].data, size);
        for (unsigned n = 1 + below(8); n > 0; n--)
            size = change(data, size);
        run(data, size);
    }
    printf("%zu files of the corpus and %lu changes of them\n", n_files, runs);
    while (n_files > 0)
        free(files[--n_files].data);
    return 0;
}
