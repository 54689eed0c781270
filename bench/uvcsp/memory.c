/* Memory of `number` light processes that are parked: resident memory and, apart from it, the page
   tables that the kernel keeps, both divided by the number. All that a process needs is counted:
   its value, its stack, its ends, its part of the arena. */
#include "bench.h"

/* A line of /proc/self/status, in bytes. */
static double status(const char *field)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[200];
    long value = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field), NULL, 10);
    if (file)
        fclose(file);
    return (double)value * 1024;
}

PROCESS(parked, IN(int, in))
{
    (void)READ(in);
}

struct memory {
    double resident, tables;
};

static struct memory memory(void)
{
    return (struct memory){status("VmRSS:"), status("VmPTE:")};
}

/* When it returns its ends retire, and that ends those who are parked. */
PROCESS(look, OUTS(int, outs, n_outs), VAL(struct memory, before), VAL(long, n),
        VAL(const char *, name))
{
    (void)outs;
    (void)n_outs;
    uvcsp_yield(); /* whoever has not yet been at its READ gets there */
    struct memory now = memory();
    char tables[100];
    snprintf(tables, sizeof tables, "%s-page-tables", name);
    bench_tell(name, (now.resident - before.resident) / (double)n, "B");
    bench_tell(tables, (now.tables - before.tables) / (double)n, "B");
}

PROCESS(nothing) {}

/* They wait at `n_channels` channels, which are counted too. */
static void measure(const char *name, long n, long n_channels)
{
    CO(nothing());
    struct memory before = memory();
    CHAN(int) *channels = bench_channels(n_channels, 0);
    CO_FOR(i, n + 1,
           i < n ? parked(channels[i % n_channels])
                 : look(channels, (size_t)n_channels, before, n, name));
    free(channels);
}

static void at_one_channel(const char *name, long number)
{
    measure(name, number, 1);
}

static void at_own_channels(const char *name, long number)
{
    measure(name, number, number);
}

const struct bench_kind memory_kinds[] = {
    {"parked-", at_one_channel},
    {"own-channel-", at_own_channels},
    {0},
};
