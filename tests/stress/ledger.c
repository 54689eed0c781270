#include "tests/stress/ledger.h"

#include <stdio.h>
#include <string.h>

#include "tests/stress/stress.h"

struct ledger *ledger;

void ledger_clear(void)
{
    if (!ledger)
        ledger = stress_shared(sizeof *ledger);
    memset(ledger, 0, sizeof *ledger);
}

static bool was_killed(const struct ledger_rules *rules, unsigned p)
{
    return rules->killed && !atomic_load(&ledger->of[p].ended);
}

static unsigned killed_while_reading(const struct ledger_rules *rules, unsigned channels)
{
    unsigned n = 0;
    for (unsigned p = 0; p < rules->n_processes; p++)
        n += was_killed(rules, p) && (atomic_load(&ledger->of[p].reading) & channels);
    return n;
}

static bool fits(const struct ledger_rules *rules, unsigned p, unsigned i, unsigned *lost)
{
    const struct ledger_process *of = &ledger->of[p];
    unsigned sent = atomic_load(&of->sent[i]), received = atomic_load(&of->received[i]);
    if (sent > 1 || received > 1)
        return false;
    if (sent == received)
        return true;
    if (received)
        return was_killed(rules, p) && atomic_load(&of->writing) && i == atomic_load(&of->n_sent);
    lost[atomic_load(&of->channel[i])]++;
    return true;
}

/* How many of the messages that are missing at a channel its buffer does not explain. */
static unsigned missing(const struct ledger_rules *rules, unsigned c, unsigned lost)
{
    unsigned held = rules->leftovers ? (unsigned)rules->capacities[c] : 0;
    return lost > held ? lost - held : 0;
}

/* Who may have it, and who says that it is gone. */
static void tell_of_missing(const struct ledger_rules *rules, unsigned c)
{
    for (unsigned p = 0; p < rules->n_processes; p++) {
        struct ledger_process *of = &ledger->of[p];
        if (atomic_load(&of->pid))
            fprintf(stderr, "  process %u (pid %d): %s, sent %u, in flight: reads %x%s\n", p, atomic_load(&of->pid),
                    was_killed(rules, p) ? "killed" : "ended", atomic_load(&of->n_sent), atomic_load(&of->reading),
                    atomic_load(&of->writing) ? ", writes" : "");
        for (unsigned i = 0; i < MAX_MESSAGES; i++)
            if (atomic_load(&of->sent[i]) && !atomic_load(&of->received[i]) && atomic_load(&of->channel[i]) == c)
                fprintf(stderr, "    its message %u is missing\n", i);
    }
}

bool ledger_balances(const struct ledger_rules *rules, struct ledger_sums *sums)
{
    bool good = true;
    unsigned lost[MAX_CHANNELS] = {0}, unexplained = 0, everything = 0;
    for (unsigned p = 0; p < rules->n_processes; p++)
        for (unsigned i = 0; i < MAX_MESSAGES; i++) {
            const struct ledger_process *of = &ledger->of[p];
            unsigned sent = atomic_load(&of->sent[i]), received = atomic_load(&of->received[i]);
            if (sums) {
                sums->received += received;
                sums->agreed_and_killed += received && !sent;
            }
            if (fits(rules, p, i, lost))
                continue;
            fprintf(stderr, "message %u of process %u (channel %u): sent %u, received %u\n", i, p,
                    atomic_load(&of->channel[i]), sent, received);
            good = false;
        }
    for (unsigned c = 0; c < rules->n_channels; c++) {
        unsigned n = missing(rules, c, lost[c]);
        everything |= 1u << c;
        unexplained += n;
        if (sums)
            sums->dropped += lost[c] - n;
        if (n > killed_while_reading(rules, 1u << c)) {
            fprintf(stderr, "channel %u, capacity %d: %u messages were sent and not received\n", c,
                    rules->capacities[c], lost[c]);
            tell_of_missing(rules, c);
            good = false;
        }
    }
    if (unexplained > killed_while_reading(rules, everything)) {
        fprintf(stderr, "%u messages are missing, more than readers were killed\n", unexplained);
        good = false;
    }
    if (sums)
        sums->agreed_and_killed += unexplained;
    if (atomic_load(&ledger->broken)) {
        fprintf(stderr, "%u messages were not what was sent\n", atomic_load(&ledger->broken));
        good = false;
    }
    return good;
}
