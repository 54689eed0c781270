/* What can be sent: plain values of any size, bytes, strings, dynamic values, by either carrier, to
   a reader that waits and from a writer that waits. */
#include <uvcsp/json.h>

#include "tests/contract/contract.h"

/* Which side is there first, and how the message travels. */
enum { WAYS = PLACEMENTS * 2 * 3 };

static enum uvcsp_carrier carrier_of(int way)
{
    return way / PLACEMENTS % 2 ? UVCSP_SHARED : UVCSP_PIPE;
}
static enum { READER_WAITS, WRITER_WAITS, BUFFERED } who_waits(int way)
{
    return way / PLACEMENTS / 2;
}

/* ---- plain values ---- */

static unsigned char pattern(size_t at, int round)
{
    return (unsigned char)(at * 7 + at / 251 + (size_t)round * 13 + 1);
}

#define VALUES_OF(SIZE)                                                                            \
    struct value_##SIZE {                                                                          \
        unsigned char at[SIZE];                                                                    \
    };                                                                                             \
    static bool right_##SIZE(const struct value_##SIZE *v, int round)                              \
    {                                                                                              \
        for (size_t i = 0; i < SIZE; i += 1 + SIZE / 5000)                                         \
            if (v->at[i] != pattern(i, round))                                                     \
                return false;                                                                      \
        return v->at[SIZE - 1] == pattern(SIZE - 1, round);                                        \
    }                                                                                              \
    PROCESS(gives_##SIZE, OUT(struct value_##SIZE, out), VAL(int, way))                            \
    {                                                                                              \
        struct value_##SIZE v;                                                                     \
        for (int round = 0; round < 4; round++) {                                                  \
            for (size_t i = 0; i < SIZE; i++)                                                      \
                v.at[i] = pattern(i, round);                                                       \
            if (who_waits(way) == READER_WAITS)                                                    \
                WRITE_TO_A_WAITING_READER(out, &v);                                                \
            else                                                                                   \
                WRITE(out, v);                                                                     \
        }                                                                                          \
    }                                                                                              \
    PROCESS(takes_##SIZE, IN(struct value_##SIZE, in), VAL(int, way))                              \
    {                                                                                              \
        for (int round = 0; round < 4; round++) {                                                  \
            struct value_##SIZE v;                                                                 \
            if (who_waits(way) == WRITER_WAITS)                                                    \
                READ_FROM_A_WAITING_WRITER(in, &v);                                                \
            else                                                                                   \
                v = READ(in);                                                                      \
            MUST(right_##SIZE(&v, round));                                                         \
        }                                                                                          \
    }                                                                                              \
    TEST(structs_of_##SIZE##_bytes_arrive_whole_in_every_way, .times = WAYS)                       \
    {                                                                                              \
        CHAN(struct value_##SIZE) c = CHANNEL(struct value_##SIZE, .carrier = carrier_of(_i),      \
                                              .capacity = who_waits(_i) == BUFFERED ? 2 : 0);      \
        ck_assert_int_eq(RUN(_i % PLACEMENTS, gives_##SIZE(c, _i), takes_##SIZE(c, _i)), 0);       \
    }

VALUES_OF(1)
VALUES_OF(8)
VALUES_OF(33)
VALUES_OF(4096)
VALUES_OF(65536)
VALUES_OF(1048576)

/* ---- types that are no structures ---- */

typedef int function(int);
static int doubled(int x)
{
    return 2 * x;
}
static int negated(int x)
{
    return -x;
}

struct nested {
    char name[10];
    union {
        double d;
        long l;
    } u;
    struct nested *link;
};

PROCESS(gives_a_function, OUT(function *, f), OUT(struct nested, s), OUT(bool, b),
        OUT(const char *const *, p))
{
    static const char *const text[] = {"one", "two"};
    WRITE(f, doubled);
    WRITE(f, negated);
    WRITE(s, (struct nested){"nine", {.d = 2.5}, NULL});
    WRITE(b, true);
    WRITE(p, text);
}

PROCESS(calls_it, IN(function *, f), IN(struct nested, s), IN(bool, b), IN(const char *const *, p))
{
    MUST(READ(f)(21) == 42);
    function *g = READ(f);
    MUST(g(21) == -21);
    struct nested x = READ(s);
    MUST(strcmp(x.name, "nine") == 0 && x.u.d == 2.5 && !x.link);
    MUST(READ(b) == true);
    MUST(strcmp(READ(p)[1], "two") == 0); /* memory from before the fork is everybody's to read */
}

TEST(a_channel_carries_functions_structures_truths_and_pointers, .times = PLACEMENTS)
{
    CHAN(function *) f = CHANNEL(function *);
    CHAN(struct nested) s = CHANNEL(struct nested);
    CHAN(bool) b = CHANNEL(bool, .capacity = 1);
    CHAN(const char *const *) p = CHANNEL(const char *const *);
    ck_assert_int_eq(RUN(_i, gives_a_function(f, s, b, p), calls_it(f, s, b, p)), 0);
}

typedef int row[5];

PROCESS(gives_rows, OUT(struct nested *, unused), OUT(row *, rows))
{
    static row r = {1, 2, 3, 4, 5};
    WRITE(rows, &r);
    RETIRE(unused);
}

PROCESS(takes_rows, IN(row *, rows))
{
    row *r = READ(rows);
    MUST((*r)[4] == 5);
}

TEST(a_channel_carries_pointers_to_arrays)
{
    CHAN(row *) rows = CHANNEL(row *);
    CHAN(struct nested *) unused = CHANNEL(struct nested *);
    ck_assert_int_eq(PAR(gives_rows(unused, rows), takes_rows(rows)), 0);
}

PROCESS(gives_constants, OUT(const int, out), OUT(char *const, text))
{
    char word[] = "word";
    WRITE(out, 4);
    WRITE(text, word);
}

PROCESS(takes_constants, IN(int, in), IN(char *const, text))
{
    MUST(READ(in) == 4);
    char *mine = READ(text);
    MUST(strcmp(mine, "word") == 0);
    free(mine);
}

TEST(a_channel_of_constants_is_one_of_what_is_written, .times = PLACEMENTS)
{
    CHAN(const int) c = CHANNEL(const int);
    CHAN(char *const) text = CHANNEL(char *const);
    ck_assert_int_eq(RUN(_i, gives_constants(c, text), takes_constants(c, text)), 0);
}

/* ---- bytes and strings ---- */

static const size_t lengths[] = {
    0, 1, 31, 32, 33, 4095, 4096, 4097, 65536, 1000003, (size_t)64 << 20};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* The longest is long enough in one way. */
static size_t n_lengths(int way)
{
    return house_valgrind() || (way != 0 && way != PLACEMENTS + 4) ? LENGTHS - 1 : LENGTHS;
}

static void fill(char *at, size_t n, int salt)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (char)(i % 251 + (size_t)salt % 5 + 1);
}

static bool filled(const char *at, size_t n, int salt)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] != (char)(i % 251 + (size_t)salt % 5 + 1))
            return false;
    return true;
}

PROCESS(gives_bytes, OUT(uvcsp_bytes, out), VAL(int, way))
{
    for (size_t k = 0; k < n_lengths(way); k++) {
        uvcsp_bytes b = {malloc(lengths[k] + 1), lengths[k]};
        fill(b.data, b.size, (int)k);
        if (who_waits(way) == READER_WAITS)
            WRITE_TO_A_WAITING_READER(out, &b);
        else
            WRITE(out, b);
        MUST(filled(b.data, b.size, (int)k));
        memset(b.data, 0, b.size); /* it is the writer's again, and the reader has a copy */
        free(b.data);
    }
}

PROCESS(takes_bytes, IN(uvcsp_bytes, in), VAL(int, way))
{
    for (size_t k = 0; k < n_lengths(way); k++) {
        uvcsp_bytes b = {&b, 99};
        if (who_waits(way) == WRITER_WAITS)
            READ_FROM_A_WAITING_WRITER(in, &b);
        else
            b = READ(in);
        MUST(b.size == lengths[k] && (b.data != NULL) == (b.size > 0));
        MUST(filled(b.data, b.size, (int)k));
        if (b.size)
            memset(b.data, 0xee, b.size);
        free(b.data);
    }
}

TEST(bytes_of_any_length_arrive_whole_and_are_the_readers_own, .times = WAYS, .seconds = 60)
{
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .carrier = carrier_of(_i),
                                  .capacity = who_waits(_i) == BUFFERED ? 2 : 0);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, gives_bytes(c, _i), takes_bytes(c, _i)), 0);
}

PROCESS(gives_strings, OUT(char *, out), VAL(int, way))
{
    for (size_t k = 0; k < n_lengths(way); k++) {
        char *s = calloc(1, lengths[k] + 1);
        fill(s, lengths[k], (int)k);
        for (size_t i = 0; i < lengths[k]; i++)
            s[i] = s[i] ? s[i] : 'x';
        if (who_waits(way) == READER_WAITS)
            WRITE_TO_A_WAITING_READER(out, &s);
        else
            WRITE(out, s);
        free(s);
        WRITE(out, NULL);
    }
    WRITE(out, "a constant");
}

PROCESS(takes_strings, IN(char *, in), VAL(int, way))
{
    for (size_t k = 0; k < n_lengths(way); k++) {
        char *s;
        if (who_waits(way) == WRITER_WAITS)
            READ_FROM_A_WAITING_WRITER(in, &s);
        else
            s = READ(in);
        MUST(s && strlen(s) == lengths[k]);
        MUST(lengths[k] < 300 ? filled(s, lengths[k] < 200 ? lengths[k] : 200, (int)k) : s[0] != 0);
        free(s);
        MUST(READ(in) == NULL);
    }
    char *last = READ(in);
    MUST(strcmp(last, "a constant") == 0);
    free(last);
}

TEST(strings_of_any_length_arrive_with_their_0_and_null_stays_null, .times = WAYS, .seconds = 60)
{
    CHAN(char *) c =
        CHANNEL(char *, .carrier = carrier_of(_i), .capacity = who_waits(_i) == BUFFERED ? 2 : 0);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, gives_strings(c, _i), takes_strings(c, _i)), 0);
}

TEST(what_lies_in_a_buffer_when_the_channel_goes_is_given_back, .times = 2)
{
    for (int i = 0; i < 1000; i++) {
        CHAN(char *) c = CHANNEL(char *, .capacity = 4);
        OUT_END(char *) out = OUT_OF(c);
        WRITE(out, "left lying");
        WRITE(out, NULL);
        if (_i)
            POISON(c);
        RETIRE(out);
        uvcsp_channel_free(c);
    }
}

/* ---- dynamic values ---- */

static json_t *sample(int i)
{
    return json_pack("{s:i, s:[s, n, b, f], s:{s:s}}", "number", i, "list", "ab\"c\n\xc3\xa9", 1,
                     0.25, "object", "empty", "");
}

PROCESS(gives_json, OUT(json_t *, out), VAL(int, way))
{
    for (int i = 0; i < 20; i++) {
        json_t *value = i == 7 ? NULL : i == 8 ? json_integer(-5) : sample(i);
        if (who_waits(way) == READER_WAITS)
            WRITE_TO_A_WAITING_READER(out, &value);
        else
            WRITE(out, value);
        MUST(!value || value->refcount == 1);
        json_decref(value);
    }
}

PROCESS(takes_json, IN(json_t *, in), VAL(int, way))
{
    for (int i = 0; i < 20; i++) {
        json_t *value, *expected = i == 7 ? NULL : i == 8 ? json_integer(-5) : sample(i);
        if (who_waits(way) == WRITER_WAITS)
            READ_FROM_A_WAITING_WRITER(in, &value);
        else
            value = READ(in);
        MUST(expected ? json_equal(value, expected) && value->refcount == 1 : value == NULL);
        json_decref(value);
        json_decref(expected);
    }
}

TEST(dynamic_values_arrive_equal_and_are_the_readers_own, .times = WAYS)
{
    CHAN(json_t *) c =
        CHANNEL(json_t *, .carrier = carrier_of(_i), .capacity = who_waits(_i) == BUFFERED ? 2 : 0);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, gives_json(c, _i), takes_json(c, _i)), 0);
}

TEST(a_value_that_cannot_be_encoded_is_refused_and_the_channel_goes_on)
{
    CHAN(json_t *) c = CHANNEL(json_t *, .capacity = 1);
    OUT_END(json_t *) out = OUT_OF(c);
    json_t *bad = json_stringn_nocheck("\xff", 1), *good = json_integer(3);
    house_capture(2);
    int status = uvcsp_write(out, &bad);
    char *said = house_captured();
    ck_assert_int_eq(status, -EINVAL);
    ck_assert_contains(said, "cannot be sent");
    free(said);
    IN_END(json_t *) in = IN_OF(c);
    ck_assert_int_eq(uvcsp_write(out, &good), UVCSP_OK);
    json_t *back = READ(in);
    ck_assert_int_eq(json_integer_value(back), 3);
    json_decref(back);
    json_decref(good);
    json_decref(bad);
}

SUITE("messages", .after = uvcsp_shutdown)
