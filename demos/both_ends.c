/* both_ends: choice meets choice.

   In occam a process may choose among inputs only, for if both partners of a communication are
   still choosing, somebody has to see to it that they choose the same. Here both may, wherever
   they run.

   First, a duel: two workers, joined by several channels in either direction, offer all of them
   in each round. They have to agree on one channel each time.

   Then, a market: traders, each in a worker of its own, stand at one channel, and each offers to
   buy *and* to sell there at the same time. Anybody may meet anybody else, but nobody trades with
   himself. The first who has had enough closes the market by poisoning the channel, in the middle
   of everything. What had been agreed is completed on both sides, so at the end no coin is
   missing. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: both_ends [rounds] [channels] [traders]\n"
    "\n"
    "A duel of two workers with `rounds` (1000) communications over `channels` (4)\n"
    "channels, then a market with `traders` (4) forked workers, which closes when one has\n"
    "traded `rounds` times.\n";

enum { MOST = 64, COINS = 100 };

/* Which channel each round of the duel went over, as one side saw it. */
struct diary {
    long rounds;
    long on[MOST];
    uint64_t story; /* depends on the order as well */
};

/* The even guards of one fencer write where those of the other read, the odd ones the other way
   round. */
PROCESS(fencer, VAL(int, rounds), VAL(int, parity), INS(long, in, n), OUTS(long, out, n_out),
        OUT(struct diary, report))
{
    struct diary diary = {0};
    for (long i = 0; i < rounds; i++) {
        long thrust = i, parry = -1;
        uvcsp_guard guards[MOST];
        for (size_t k = 0; k < n && k < n_out; k++) {
            if ((int)(k % 2) == parity) {
                guards[k] = ON_READ(in[k], &parry);
            } else {
                guards[k] = ON_WRITE(out[k], thrust);
                guards[k].data = &thrust; /* the copy that ON_WRITE made lives in this block only */
            }
        }
        int taken = uvcsp_alt(guards, n, UVCSP_FAIR);
        demo_expect(taken >= 0, "the duel goes on");
        demo_expect(taken % 2 != parity || parry == i, "both are in the same round");
        diary.rounds++;
        diary.on[taken]++;
        diary.story = diary.story * 31 + (uint64_t)taken;
    }
    WRITE(report, diary);
}

PROCESS(referee, VAL(int, channels), IN(struct diary, left), IN(struct diary, right))
{
    struct diary a = READ(left), b = READ(right);
    demo_expect(memcmp(&a, &b, sizeof a) == 0, "the two sides tell different stories");
    printf("duel: %ld communications over %d channels, both sides chose the same each time\n",
           a.rounds, channels);
    for (int i = 0; i < channels; i++)
        fprintf(stderr, "channel %d was chosen %ld times\n", i, a.on[i]);
}

static int duel(int rounds, int channels)
{
    CHAN(long) c[MOST];
    if (CHANNELS(long, c, channels) != 0)
        return 1;
    CHAN(struct diary) left = CHANNEL(struct diary), right = CHANNEL(struct diary);
    size_t n = (size_t)channels;
    return PAR(fencer(rounds, 0, c, n, c, n, left), fencer(rounds, 1, c, n, c, n, right),
               referee(channels, left, right));
}

struct purse {
    long coins, bought, sold;
};

PROCESS(trader, VAL(long, enough), IN(long, buy), OUT(long, sell), OUT(struct purse, bank))
{
    struct purse purse = {COINS, 0, 0};
    for (;;) {
        long price = 1 + purse.sold % 3, paid;
        uvcsp_guard offers[] = {ON_READ(buy, &paid), ON_WRITE(sell, price)};
        int taken = uvcsp_alt(offers, 2, UVCSP_FAIR);
        if (taken < 0)
            break;
        purse.coins += taken == 0 ? paid : -price;
        taken == 0 ? purse.bought++ : purse.sold++;
        if (purse.bought + purse.sold == enough)
            POISON(sell);
    }
    WRITE(bank, purse);
}

PROCESS(bank, VAL(int, traders), IN(struct purse, in))
{
    struct purse sum = {0};
    for (int i = 0; i < traders; i++) {
        struct purse purse = READ(in);
        fprintf(stderr, "a trader bought %ld times and sold %ld times\n", purse.bought, purse.sold);
        sum.coins += purse.coins;
        sum.bought += purse.bought;
        sum.sold += purse.sold;
    }
    demo_expect(sum.bought == sum.sold, "whatever was sold was bought");
    demo_expect(sum.coins == (long)traders * COINS, "no coin is lost or made");
    printf("market: %d traders had %d coins each, and have %ld in all\n", traders, COINS,
           sum.coins);
}

static int market(int enough, int traders)
{
    CHAN(long) square = CHANNEL(long);
    CHAN(struct purse) purses = CHANNEL(struct purse);
    uvcsp_process ps[MOST + 1] = {bank(traders, purses)};
    for (int i = 0; i < traders; i++)
        ps[1 + i] = trader(enough, square, square, purses);
    return uvcsp_par(ps, (size_t)traders + 1);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 3, help);
    int rounds = demo_size(argc, argv, 1, 1000, 1, 100000000);
    int channels = demo_size(argc, argv, 2, 4, 1, MOST);
    int traders = demo_size(argc, argv, 3, 4, 2, MOST);

    return duel(rounds, channels) != 0 || market(rounds, traders) != 0;
}
