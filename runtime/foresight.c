#include "runtime/foresight.h"

#include <string.h>

/* In rounds, of as many turns as there are fibres. In a trial each is remembered, and expected the next time; where one has several
   turns in a round of its network that takes longer. */
#define TRIAL 6
#define FIRST_REST 8
#define LONGEST_REST 128

static void go_on(struct usp_foresight *foresight, bool rests, unsigned rounds)
{
    foresight->rests = rests;
    foresight->until = foresight->turn + rounds * (unsigned)usp_sched.n_live;
}

static void judge(struct usp_foresight *foresight)
{
    if (foresight->rests || foresight->rest == 0) {
        go_on(foresight, false, TRIAL);
        foresight->rest += foresight->rest == 0 ? FIRST_REST : 0;
    } else if (foresight->trust >= USP_ENOUGH_TRUST) {
        go_on(foresight, false, TRIAL);
        foresight->rest = FIRST_REST;
    } else {
        go_on(foresight, true, foresight->rest);
        foresight->rest *= foresight->rest < LONGEST_REST ? 2 : 1;
        memset(foresight->recent, 0, sizeof foresight->recent);
    }
}

void usp_foresight_look(void)
{
    struct usp_foresight *foresight = &usp_sched.foresight;
    foresight->now = false;
    if (usp_sched.n_live < USP_FORESIGHT_FROM)
        return;
    if (foresight->rests)
        foresight->turn += USP_TURNS; /* nobody counts them */
    if (foresight->rest == 0 || (int)(foresight->turn - foresight->until) >= 0)
        judge(foresight);
    foresight->now = !foresight->rests;
}
