/* Output guards that are kept: in an array that is filled in a loop, and used again. Each has its own value. */
#include "tests/contract/contract.h"

enum { MANY = 8 };

struct pair {
    long a, b;
};

static void taken(uvcsp_guard *guards, size_t n)
{
    for (size_t left = n; left > 0; left--) {
        int k = uvcsp_alt(guards, n, UVCSP_FAIR);
        MUST(k >= 0 && (size_t)k < n);
        guards[k].on = false;
    }
}

/* A writer of each type, and a reader for each of its channels. */
#define EACH_ITS_OWN(name, T, make, check)                                                         \
    PROCESS(writes_##name, OUTS(T, outs, n))                                                       \
    {                                                                                              \
        uvcsp_guard guards[MANY];                                                                  \
        for (size_t i = 0; i < n; i++)                                                             \
            guards[i] = ON_WRITE(outs[i], make);                                                   \
        taken(guards, n);                                                                          \
    }                                                                                              \
    PROCESS(reads_##name, IN(T, in), VAL(size_t, i))                                               \
    {                                                                                              \
        T v = READ(in);                                                                            \
        MUST(check);                                                                               \
    }                                                                                              \
    TEST(each_guard_of_an_array_writes_its_own_##name, .times = PLACEMENTS * 2)                    \
    {                                                                                              \
        CHAN(T) channels[MANY];                                                                    \
        ck_assert_int_eq(CHANNELS(T, channels, MANY, .capacity = _i / PLACEMENTS), 0);             \
        uvcsp_process all[MANY + 1] = {writes_##name(channels, MANY)};                             \
        for (size_t i = 0; i < MANY; i++)                                                          \
            all[i + 1] = reads_##name(channels[i], i);                                             \
        ck_assert_int_eq(run_placed((enum placement)(_i % PLACEMENTS), all, MANY + 1), 0);         \
    }

static uvcsp_bytes bytes_of(size_t i)
{
    static char texts[MANY][2];
    texts[i][0] = (char)('a' + i);
    return (uvcsp_bytes){texts[i], 2};
}

static bool are_bytes_of(uvcsp_bytes got, size_t i)
{
    bool good = got.size == 2 && *(char *)got.data == (char)('a' + i);
    free(got.data);
    return good;
}

EACH_ITS_OWN(char, char, (char)i, v == (char)i)
EACH_ITS_OWN(int, int, (int)(100 + i), v == (int)(100 + i))
EACH_ITS_OWN(double, double, (double)i + 0.5, v == (double)i + 0.5)
static struct pair pair_of(size_t i)
{
    return (struct pair){(long)i, -(long)i};
}
EACH_ITS_OWN(pair, struct pair, pair_of(i), v.a == (long)i && v.b == -(long)i)
EACH_ITS_OWN(bytes, uvcsp_bytes, bytes_of(i), are_bytes_of(v, i))

PROCESS(writes_one_again_and_again, OUT(int, out), IN(int, never))
{
    int x;
    uvcsp_guard guards[] = {ON_WRITE(out, 7), ON_READ(never, &x)};
    for (int i = 0; i < 20; i++)
        MUST(uvcsp_alt(guards, 2, UVCSP_FAIR) == 0);
}

PROCESS(reads_it, IN(int, in), OUT(int, never))
{
    (void)never;
    for (int i = 0; i < 20; i++)
        MUST(READ(in) == 7);
}

TEST(a_guard_can_be_used_again, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int), never = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, writes_one_again_and_again(c, never), reads_it(c, never)), 0);
}

static int n_made;
static int made(void)
{
    return ++n_made;
}

TEST(the_value_is_evaluated_once)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    ck_assert_int_eq(ALT(ON_WRITE(out, made())), 0);
    ck_assert_int_eq(n_made, 1);
    ck_assert_int_eq(READ(in), 1);
}

SUITE("outputs", .after = uvcsp_shutdown)
