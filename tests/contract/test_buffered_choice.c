/* Choice over channels with and without buffers, among the light processes of one worker. */
#include "tests/contract/contract.h"

/* ---- each message once, and in order ---- */

enum { CHANNELS = 4, EACH = 300, MOST_WRITERS = 3, MOST_SIZE = 20 };

struct net {
    void *channels[CHANNELS];
    size_t size;                             /* of a message: its number, zeros, and from 8 bytes on the number again */
    enum uvcsp_choice mode;
    int writers, readers;
    bool came[MOST_WRITERS][CHANNELS][EACH];
    int last[MOST_WRITERS][CHANNELS];
    int read;
};

static unsigned random_of(unsigned *seed)
{
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 16;
}

static void make_message(const struct net *net, char *message, int writer, int channel, int number)
{
    int packed = number << 8 | writer << 4 | channel;
    memset(message, 0, net->size);
    memcpy(message, &packed, sizeof packed);
    memcpy(message + net->size - sizeof packed, &packed, sizeof packed);
}

static void take_message(struct net *net, const char *message, int from)
{
    int packed, again;
    memcpy(&packed, message, sizeof packed);
    memcpy(&again, message + net->size - sizeof packed, sizeof again);
    int writer = packed >> 4 & 15, channel = packed & 15, number = packed >> 8;
    MUST(packed == again && channel == from && writer < net->writers && number >= 0 && number < EACH);
    MUST(!net->came[writer][channel][number]);
    MUST(net->readers > 1 || number == net->last[writer][channel] + 1);
    net->came[writer][channel][number] = true;
    net->last[writer][channel] = number;
    if (++net->read == net->writers * CHANNELS * EACH)
        for (int c = 0; c < CHANNELS; c++)
            uvcsp_poison(net->channels[c]);
}

static void take_part(struct net *net, void *(*end_of)(void *channel), void **ends)
{
    for (int c = 0; c < CHANNELS; c++)
        ends[c] = end_of(net->channels[c]);
}

/* Wherever there is something left to write: by choice as a rule, and plainly. */
PROCESS(writes_anywhere, VAL(struct net *, net), VAL(int, me))
{
    void *outs[CHANNELS];
    int done[CHANNELS] = {0};
    unsigned seed = (unsigned)me + 7;
    take_part(net, uvcsp_out_of, outs);
    for (int left = CHANNELS * EACH; left > 0; left--) {
        char messages[CHANNELS][MOST_SIZE];
        uvcsp_guard guards[CHANNELS];
        int k = (int)(random_of(&seed) % CHANNELS);
        for (int c = 0; c < CHANNELS; c++) {
            make_message(net, messages[c], me, c, done[c]);
            guards[c] = (uvcsp_guard){
                .kind = UVCSP_GUARD_WRITE, .on = done[c] < EACH, .subject = outs[c], .data = messages[c]};
        }
        if (guards[k].on && random_of(&seed) % 4 == 0)
            uvcsp_give(outs[k], messages[k], "writes_anywhere");
        else
            k = uvcsp_alt(guards, CHANNELS, net->mode);
        MUST(k >= 0);
        done[k]++;
        if (random_of(&seed) % 8 == 0)
            uvcsp_yield();
    }
}

PROCESS(reads_anywhere, VAL(struct net *, net), VAL(int, me))
{
    void *ins[CHANNELS];
    char message[MOST_SIZE];
    uvcsp_guard guards[CHANNELS];
    unsigned seed = (unsigned)me + 77;
    take_part(net, uvcsp_in_of, ins);
    for (int c = 0; c < CHANNELS; c++)
        guards[c] = (uvcsp_guard){.kind = UVCSP_GUARD_READ, .on = true, .subject = ins[c], .data = message};
    for (;;) {
        int k = (int)(random_of(&seed) % CHANNELS), status = UVCSP_OK;
        if (random_of(&seed) % 4 == 0)
            status = uvcsp_end_read(ins[k], message, 0.001, "reads_anywhere");
        else
            k = uvcsp_alt(guards, CHANNELS, net->mode);
        if (k < 0 || status == UVCSP_POISONED)
            return;
        if (status == UVCSP_OK)
            take_message(net, message, k);
        if (random_of(&seed) % 8 == 0)
            uvcsp_yield();
    }
}

enum { SIZES = 3, CROWDS = 4 };
static const size_t sizes[SIZES] = {4, 8, MOST_SIZE};
static const int crowds[CROWDS][2] = {{1, 1}, {3, 1}, {1, 3}, {3, 3}};

TEST(choices_over_buffers_lose_nothing_and_keep_the_order, .times = SIZES * CROWDS * 2)
{
    static struct net net;
    net = (struct net){
        .size = sizes[_i % SIZES],
        .mode = _i / SIZES / CROWDS ? UVCSP_PRI : UVCSP_FAIR,
        .writers = crowds[_i / SIZES % CROWDS][0],
        .readers = crowds[_i / SIZES % CROWDS][1],
    };
    memset(net.last, 0xff, sizeof net.last);
    for (int c = 0; c < CHANNELS; c++) {
        static const int capacity[CHANNELS] = {0, 1, 3, 0};
        net.channels[c] = uvcsp_channel_new(net.size, UVCSP_TYPE_PLAIN, (uvcsp_channel_options){.capacity = capacity[c]});
    }
    void *outs[CHANNELS];
    take_part(&net, uvcsp_out_of, outs); /* who has written all does not retire the channels */
    ck_assert_int_eq(CO_FOR(i, net.writers + net.readers,
                            i < net.writers ? writes_anywhere(&net, i) : reads_anywhere(&net, i)),
                     0);
    ck_assert_int_eq(net.read, net.writers * CHANNELS * EACH);
}

/* ---- who waits ---- */

struct taken {
    int guard, value;
};

PROCESS(chooses_to_read, IN(int, a), IN(int, b), VAL(struct taken *, taken))
{
    taken->guard = ALT(ON_READ(a, &taken->value), ON_READ(b, &taken->value));
}

TEST(a_choice_that_waits_at_empty_buffers_is_woken_by_a_message, .times = 2)
{
    struct taken taken = {-1, 0};
    CHAN(int) c[2] = {CHANNEL(int, .capacity = 2), CHANNEL(int, .capacity = 2)};
    OUT_END(int) out = OUT_OF(c[_i]);
    IN_END(int) in = IN_OF(c[_i]);
    uvcsp_handle *handle = GO(chooses_to_read(c[0], c[1], &taken));
    uvcsp_yield();
    uvcsp_yield(); /* it has let others run once, and waits */
    ck_assert_int_eq(taken.guard, -1);
    WRITE(out, 5);
    WRITE(out, 6);
    ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
    ck_assert_int_eq(taken.guard, _i);
    ck_assert_int_eq(taken.value, 5);
    int x;
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_OK);
    ck_assert_int_eq(x, 6);
}

PROCESS(chooses_to_write, OUT(int, a), OUT(int, b), VAL(struct taken *, taken))
{
    taken->guard = ALT(ON_WRITE(a, 10), ON_WRITE(b, 11));
}

TEST(a_choice_that_waits_at_full_buffers_is_woken_by_a_reader, .times = 2)
{
    struct taken taken = {-1, 0};
    CHAN(int) c[2] = {CHANNEL(int, .capacity = 1), CHANNEL(int, .capacity = 1)};
    for (int i = 0; i < 2; i++)
        WRITE(OUT_OF(c[i]), i);
    IN_END(int) in = IN_OF(c[_i]), other = IN_OF(c[1 - _i]);
    uvcsp_handle *handle = GO(chooses_to_write(c[0], c[1], &taken));
    uvcsp_yield();
    uvcsp_yield();
    ck_assert_int_eq(taken.guard, -1);
    ck_assert_int_eq(READ(in), _i);
    ck_assert_int_eq(READ(in), 10 + _i);
    ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
    ck_assert_int_eq(taken.guard, _i);
    ck_assert_int_eq(READ(other), 1 - _i);
}

PROCESS(reads_one, IN(int, in), VAL(int *, x))
{
    *x = READ(in);
}

TEST(a_choice_that_writes_where_a_reader_waits_at_an_empty_buffer_gives_it_the_message)
{
    int x = 0;
    CHAN(int) full = CHANNEL(int, .capacity = 1), empty = CHANNEL(int, .capacity = 1);
    WRITE(OUT_OF(full), 1);
    OUT_END(int) a = OUT_OF(full), b = OUT_OF(empty);
    IN_END(int) in = IN_OF(empty);
    uvcsp_handle *handle = GO(reads_one(empty, &x));
    uvcsp_yield();
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ALT(ON_WRITE(a, 2), ON_WRITE(b, 3 + i)), 1); /* to the reader; into the buffer */
    ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
    ck_assert_int_eq(x, 3);
    ck_assert_int_eq(READ(in), 4);
}

TEST(a_choice_takes_what_lies_in_a_buffer_whose_writers_have_retired_and_then_tells_so)
{
    int x;
    CHAN(int) c = CHANNEL(int, .capacity = 2), d = CHANNEL(int);
    IN_END(int) in = IN_OF(c), never = IN_OF(d);
    OUT_END(int) out = OUT_OF(c), keeps = OUT_OF(d);
    (void)keeps;
    WRITE(out, 1);
    WRITE(out, 2);
    RETIRE(out);
    uvcsp_guard guards[] = {ON_READ(never, &x), ON_READ(in, &x)};
    for (int i = 1; i <= 2; i++) {
        ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), 1);
        ck_assert_int_eq(x, i);
    }
    ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), -UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_alt_failed(), 1);
}

SUITE("buffered_choice", .after = uvcsp_shutdown)
