#include "runtime/foresight.h"

#include <string.h>

/* In rounds, of as many turns as there are fibres. In a trial each is remembered, and expected the next time; where one has several
   turns in a round of its network that takes longer. */
#define TRIAL 6
#define FIRST_REST 8
#define LONGEST_REST 128

static void go_on(struct usp_foresight *foresight, uint64_t from, unsigned rounds)
{
    foresight->from = from;
    foresight->until = foresight->turn + rounds * (unsigned)usp_sched.n_live;
}

void usp_foresight_look(void)
{
    struct usp_foresight *foresight = &usp_sched.foresight;
    if (usp_sched.n_live < USP_FORESIGHT_FROM)
        return;
    bool rests = foresight->from != USP_FORESIGHT_FROM;
    if (rests)
        foresight->turn += USP_TURNS; /* nobody counts them */
    if (foresight->rests > 0 && (int)(foresight->turn - foresight->until) < 0)
        return;
    if (foresight->rests == 0 || rests) {
        go_on(foresight, USP_FORESIGHT_FROM, TRIAL);
        foresight->rests += foresight->rests == 0 ? FIRST_REST : 0;
    } else if (foresight->trust >= USP_ENOUGH_TRUST) {
        go_on(foresight, USP_FORESIGHT_FROM, TRIAL);
        foresight->rests = FIRST_REST;
    } else {
        go_on(foresight, UINT64_MAX, foresight->rests);
        foresight->rests *= foresight->rests < LONGEST_REST ? 2 : 1;
        memset(foresight->recent, 0, sizeof foresight->recent);
    }
}
