#include "tests/explore/network.h"

#include <string.h>

static void need(struct network *net, unsigned actor, const struct guard *guard)
{
    if (communicates(guard))
        net->actors[actor].ends[guard->kind] |= (uint8_t)(1 << guard->channel);
}

void network_complete(struct network *net)
{
    for (unsigned a = net->n_actors; a-- > 0;) { /* children stand behind who runs them */
        struct actor *actor = &net->actors[a];
        for (unsigned i = 0; i < actor->n_ops; i++) {
            struct op *op = &actor->ops[i];
            for (unsigned g = 0; g < op->n && op->kind != POISONS; g++)
                need(net, a, &op->guards[g]);
            for (unsigned b = op->first; op->kind == RUNS && b <= op->last; b++) {
                MUST(b > a && b < net->n_actors);
                net->actors[b].parent = (uint8_t)a;
                net->actors[b].worker = actor->worker;
                for (int side = 0; side < 2; side++)
                    actor->ends[side] |= net->actors[b].ends[side];
            }
        }
    }
    struct actor *janitor = &net->actors[janitor_of(net)];
    memset(janitor, 0, sizeof *janitor);
    janitor->parent = NOBODY;
    janitor->n_ops = net->n_channels;
    for (unsigned c = 0; c < net->n_channels; c++)
        janitor->ops[c] = (struct op){.kind = POISONS, .n = 1, .guards = {{.channel = (uint8_t)c}}};
}

/* ---- random ones ---- */

/* Every other one is of the side that lacks partners. */
static struct guard random_guard(const struct network *net, struct random *random)
{
    unsigned c = below(random, net->n_channels), side = below(random, 2);
    int lacks[2] = {0, 0};
    for (unsigned a = 0; a < net->n_actors; a++)
        for (unsigned i = 0; i < net->actors[a].n_ops; i++) {
            const struct op *op = &net->actors[a].ops[i];
            for (unsigned g = 0; g < op->n && op->kind == CHOICE; g++)
                if (communicates(&op->guards[g]) && op->guards[g].channel == c)
                    lacks[1 - op->guards[g].kind]++;
        }
    if (one_in(random, 2) && lacks[0] != lacks[1])
        side = lacks[WRITES] > lacks[READS];
    return (struct guard){(uint8_t)side, (uint8_t)c, false};
}

static void random_choice(const struct network *net, struct random *random, struct op *op)
{
    op->kind = CHOICE;
    op->pri = true;
    op->n = 1;
    op->guards[0] = random_guard(net, random);
    unsigned how = below(random, 20);
    if (how < 7) {
        op->via = VIA_READ;
    } else if (how < 9) {
        op->via = VIA_CHECKED;
    } else if (how < 11) {
        op->via = VIA_CHECKED;
        op->guards[op->n++].kind = one_in(random, 3) ? G_NOW : G_LATER;
    } else if (how < 13) {
        op->via = VIA_TRY;
        op->guards[op->n++].kind = G_SKIP;
    } else {
        op->via = one_in(random, 2) ? VIA_ALT : VIA_CHOOSE;
        op->pri = one_in(random, 2);
        op->n = (uint8_t)(1 + below(random, MOST_GUARDS));
        unsigned odd = below(random, 10), at = below(random, op->n);
        for (unsigned g = 1; g < op->n; g++)
            op->guards[g] = random_guard(net, random);
        if (odd < 3 && op->n > 1)
            op->guards[at] = (struct guard){.kind = (uint8_t)(G_SKIP + odd)};
        else if (odd == 3 && op->n > 1)
            op->guards[at].off = true;
    }
}

static void random_op(const struct network *net, struct random *random, struct op *op)
{
    unsigned what = below(random, 24);
    op->yields = one_in(random, 2);
    op->n = 1;
    op->guards[0] = random_guard(net, random);
    if (what == 0)
        op->kind = POISONS;
    else if (what <= 2)
        op->kind = RETIRES;
    else
        random_choice(net, random, op);
}

/* The last actors become children of another. */
static void nest(struct network *net, struct random *random)
{
    unsigned n = 1 + below(random, net->n_actors - 2);
    unsigned a = below(random, net->n_actors - n);
    struct actor *actor = &net->actors[a];
    struct op *op = &actor->ops[below(random, actor->n_ops)];
    *op = (struct op){
        .kind = RUNS, .first = (uint8_t)(net->n_actors - n), .last = (uint8_t)(net->n_actors - 1)};
}

void network_random(struct network *net, uint64_t seed, unsigned workers)
{
    static const uint16_t widths[] = {4, 4, 4, 8, 1, 12, 100, 5000, BYTES};
    struct random random = {seed};
    memset(net, 0, sizeof *net);
    net->n_channels = (uint8_t)(1 + below(&random, MOST_CHANNELS));
    for (unsigned c = 0; c < net->n_channels; c++) {
        unsigned capacity = below(&random, 6);
        net->channels[c].capacity = (uint8_t)(capacity > 3 ? capacity - 3 : 0);
        if (net->channels[c].capacity > 0) /* as those of queues and pipes have */
            net->channels[c].lenient = one_in(&random, 6) ? 1 : one_in(&random, 12) ? 3 : 0;
        net->channels[c].unbiased = one_in(&random, 4);
        net->channels[c].shared = one_in(&random, 2);
        unsigned n = sizeof widths / sizeof widths[0];
        net->channels[c].width = widths[below(&random, one_in(&random, 4) ? n : 4)];
    }
    net->n_actors = (uint8_t)(2 + below(&random, workers > 1 ? 3 : 4));
    for (unsigned a = 0; a < net->n_actors; a++) {
        struct actor *actor = &net->actors[a];
        actor->parent = NOBODY;
        actor->worker = (uint8_t)(a < workers ? a : below(&random, workers));
        actor->n_ops = (uint8_t)(1 + below(&random, workers > 1 ? 3 : MOST_OPS));
        for (unsigned i = 0; i < actor->n_ops; i++)
            random_op(net, &random, &actor->ops[i]);
        if (one_in(&random, 4))
            actor->ends[below(&random, 2)] |= (uint8_t)(1 << below(&random, net->n_channels));
    }
    if (net->n_actors > 2 && one_in(&random, 5))
        nest(net, &random);
    network_complete(net);
}

/* ---- printing ---- */

static void print_guard(FILE *to, const struct guard *guard)
{
    if (guard->off)
        fprintf(to, "off:");
    if (communicates(guard))
        fprintf(to, "%c%c", 'a' + guard->channel, guard->kind == G_READ ? '?' : '!');
    else
        fprintf(to, "%s", guard->kind == G_SKIP ? "skip" : guard->kind == G_NOW ? "now" : "later");
}

void op_print(FILE *to, const struct op *op)
{
    static const char *const via[] = {"", "checked ", "try ", "alt", "ALT"};
    switch (op->kind) {
    case POISONS:
        fprintf(to, "poison %c", 'a' + op->guards[0].channel);
        return;
    case RETIRES:
        fprintf(to, "retire ");
        print_guard(to, &op->guards[0]);
        return;
    case RUNS:
        fprintf(to, "co(%u..%u)", op->first, op->last);
        return;
    }
    fprintf(to, "%s", via[op->via]);
    if (is_alt(op))
        fprintf(to, op->pri ? "(pri: " : "(");
    for (unsigned g = 0; g < op->n; g++) {
        fprintf(to, g ? ", " : "");
        print_guard(to, &op->guards[g]);
    }
    fprintf(to, is_alt(op) ? ")" : "");
}

void network_print(FILE *to, const struct network *net)
{
    for (unsigned c = 0; c < net->n_channels; c++) {
        fprintf(to, "  channel %c: capacity %u", 'a' + c, net->channels[c].capacity);
        if (net->channels[c].width == BYTES)
            fprintf(to, ", messages of variable length");
        else
            fprintf(to, ", messages of %u bytes", net->channels[c].width);
        fprintf(to, "%s%s%s\n", net->channels[c].lenient & 1 ? ", lenient" : "",
                net->channels[c].lenient & 2 ? ", revives" : "",
                net->channels[c].shared ? ", shared" : "");
    }
    for (unsigned a = 0; a < net->n_actors; a++) {
        const struct actor *actor = &net->actors[a];
        fprintf(to, "  actor %u (worker %u", a, actor->worker);
        if (actor->parent != NOBODY)
            fprintf(to, ", run by %u", actor->parent);
        fprintf(to, "):");
        for (unsigned i = 0; i < actor->n_ops; i++) {
            fprintf(to, "%s ", i ? ";" : "");
            op_print(to, &actor->ops[i]);
        }
        for (unsigned c = 0; c < net->n_channels; c++)
            for (int side = 0; side < 2; side++)
                if (actor->ends[side] & 1 << c)
                    fprintf(to, "%s%c%c", " ", 'a' + c, side == READS ? '?' : '!');
        fprintf(to, "\n");
    }
}
