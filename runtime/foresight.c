#include "runtime/foresight.h"

#include <string.h>

/* In rounds, of as many turns as there are fibres. In a trial each is remembered, and expected the next time; where one has several
   turns in a round of its network that takes longer. */
#define TRIAL 6
#define FIRST_REST 8
#define LONGEST_REST 128

/* A trial or a rest has ended, or the first trial begins. */
static void judge(struct usp_foresight *foresight)
{
    bool was_tried = !foresight->rests && foresight->rest > 0;
    bool in_vain = was_tried && foresight->trust < USP_ENOUGH_TRUST;
    unsigned rounds = in_vain ? foresight->rest : TRIAL;
    if (in_vain) {
        foresight->rest = rounds < LONGEST_REST ? 2 * rounds : rounds;
        memset(foresight->recent, 0, sizeof foresight->recent);
    } else if (!foresight->rests) {
        foresight->rest = FIRST_REST;
    }
    foresight->rests = in_vain;
    foresight->until = foresight->turn + rounds * (unsigned)usp_sched.n_live;
}

void usp_foresight_look(void)
{
    struct usp_foresight *foresight = &usp_sched.foresight;
    foresight->now = false;
    if (usp_sched.n_live < USP_FORESIGHT_FROM)
        return;
    if (foresight->rests)
        foresight->turn += USP_TURNS; /* nobody counts them */
    if ((int)(foresight->turn - foresight->until) >= 0)
        judge(foresight);
    foresight->now = !foresight->rests;
}
