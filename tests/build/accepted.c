/* Every form of the face: must compile without a word under -Wall -Wextra -Werror. It is never run. */
#include <stdio.h>
#include <stdlib.h>
#include <uvcsp.h>
#include <uvcsp/json.h>

struct point { int x, y; };
typedef int (*function)(int);

PROCESS_DECLARE(later, IN(int, in), VAL(char, c), VAL(float, f), VAL(_Bool, b), VAL(short, s));
PROCESS_DECLARE(later_with_nothing);

PROCESS(nothing)
{
}

PROCESS(values, VAL(char, c), VAL(short, s), VAL(float, f), VAL(_Bool, b), VAL(long double, d),
        VAL(const char *, text), VAL(function, call), VAL(struct point, p), VAL(int *, where))
{
    printf("%c %d %g %d %Lg %s %d %d\n", c, s, f, b, d, text, call(p.x), *where);
}

#include <uvcsp/ipc.h>

int what_is_locked(int *shared)
{
    int x;
    LOCKED(shared)
        x = *shared;
    return x;
}

PROCESS(constants, VAL(const int, n), VAL(const struct point, p), VAL(int *const, where), VAL(const float, f))
{
    printf("%d %d %d %g\n", n, p.x, *where, f);
}

PROCESS(unused, IN(int, in), OUT(int, out), VAL(int, n))
{
    (void)in;
    (void)out;
    (void)n;
}

PROCESS(sixteen, VAL(int, a), VAL(int, b), VAL(int, c), VAL(int, d), VAL(int, e), VAL(int, f), VAL(int, g),
        VAL(int, h), VAL(int, i), VAL(int, j), VAL(int, k), VAL(int, l), VAL(int, m), VAL(int, n),
        INS(int, o, n_o), OUTS(int, p, n_p))
{
    printf("%d %zu %zu\n", a + b + c + d + e + f + g + h + i + j + k + l + m + n, n_o, n_p);
    WRITE(p[0], READ(o[0]));
}

PROCESS(communicate, IN(int, in), OUT(struct point, out), INS(int, ins, n), OUTS(struct point, outs, m))
{
    int x = READ(in) + READ(ins[n - 1]);
    struct point p = {x, x};
    READ(in);
    WRITE(out, p);
    WRITE(out, (struct point){1, 2});
    WRITE(outs[m - 1], (struct point){.x = x});
    if (uvcsp_read(in, &x) != UVCSP_OK || uvcsp_write(out, &p) != UVCSP_OK)
        return;
    uvcsp_write(out, &(struct point){3, 4});
    uvcsp_read_timeout(in, &x, 0.5);
    uvcsp_write_timeout(outs[0], &p, 0.5);
    uvcsp_read_try(ins[0], &x);
    uvcsp_write_try(out, &p);
    DEFER(free, malloc(1));
    if (uvcsp_cause(in))
        puts(uvcsp_cause(out));
    RETIRE(out);
    POISON(in);
}

PROCESS(choose, IN(int, left), IN(int, right), OUT(struct point, out), INS(int, ins, n))
{
    int x, y = 0;
    struct point p = {0, 0};
    uvcsp_handle *h = GO(nothing());
    switch (ALT(ON_READ(left, &x), ON_READ(right, &y), ON_WRITE(out, p), ON_TIMEOUT(0.5))) {
    case 0: y += x; break;
    case 1: p.x = y; break;
    case 2: p = (struct point){1, 2}; break;
    case 3: return;
    }
    PRI_ALT(ON_WRITE(out, (struct point){1, 2}), ON_SKIP, ON_ENDED(h), ON_SIGNAL(2), ON_FD(0, UV_READABLE),
            WHEN(y > 3, ON_READ(ins[0], &x)), WHEN(0, ON_SKIP));
    uvcsp_guard guards[n + 1];
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(ins[i], &x);
    guards[n] = ON_WRITE(out, p);
    if (uvcsp_alt(guards, n + 1, UVCSP_FAIR) < 0)
        printf("%d\n", uvcsp_alt_failed());
}

PROCESS(qualified, IN(const int, in), OUT(const int, out), INS(volatile int, ins, n), OUTS(const int, outs, m),
        IN(const struct point, point), OUT(const char *const, text))
{
    const int x = READ(in) + READ(ins[n - 1]);
    int y = READ(in);
    WRITE(out, x);
    WRITE(outs[m - 1], y);
    WRITE(text, "text");
    if (READ(point).x || uvcsp_read(in, &y) || uvcsp_write(out, &x) || uvcsp_read_try(in, &y) || uvcsp_cause(in))
        return;
    ALT(ON_READ(in, &y), ON_WRITE(out, x), ON_SKIP);
    uvcsp_end e = MOBILE(in);
    IN_END(const int) again = AS_IN(const int, e);
    IN_END(int) plain = again;
    POISON(plain);
    RETIRE(out);
}

PROCESS(lengths, IN(uvcsp_bytes, bytes), OUT(char *, strings), OUT(uvcsp_end, ends), IN(int, mine),
        OUT(json_t *, values))
{
    uvcsp_bytes b = READ(bytes);
    free(b.data);
    WRITE(strings, "text");
    uvcsp_end e = MOBILE(mine);
    IN_END(int) in = AS_IN(int, e);
    OUT_END(int) out = AS_OUT(int, e);
    WRITE(ends, MOBILE(in == NULL ? (void *)out : (void *)in));
    json_t *v = json_integer(1);
    WRITE(values, v);
    json_decref(v);
}

PROCESS(network, IN(int, in), OUT(int, out))
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) mine = IN_OF(c);
    PAR(unused(in, c, 1), WORKER(unused(c, out, 2), nothing()), SEQ(nothing()) ? nothing() : nothing());
    CO(unused(mine, out, 3));
    uvcsp_process ps[] = {nothing(), nothing()};
    uvcsp_seq(ps, 2);
    uvcsp_channel_free(c);
}

int main(void)
{
    CHAN(int) c = CHANNEL(int), cs[3];
    CHAN(double) named = CHANNEL(double, .capacity = 4, .name = "x", .carrier = UVCSP_SHARED);
    CHAN(struct point) ps[2];
    CHAN(function) calls = CHANNEL(function);
    CHAN(int[4]) arrays = CHANNEL(int[4]);
    CHAN(uvcsp_bytes) bytes = CHANNEL(uvcsp_bytes);
    CHAN(char *) strings = CHANNEL(char *);
    CHAN(uvcsp_end) ends = CHANNEL(uvcsp_end);
    CHAN(json_t *) dynamic = CHANNEL(json_t *);
    int where = 1;
    CHANNELS(int, cs, 3);
    if (CHANNELS(struct point, ps, 2, .capacity = 2) != 0 || !named || !calls || !arrays)
        return 1;
    CHAN(const int) fixed = CHANNEL(const int), fixeds[2];
    CHAN(const struct point) point = CHANNEL(const struct point);
    CHAN(const char *const) text = CHANNEL(const char *const);
    CHAN(CHAN(CHAN(int))) deep = CHANNEL(CHAN(CHAN(int)));
    QUEUE(const int) queue = uvcsp_queue_new_of(0, sizeof(int), UVCSP_TYPE_OF(const int), UVCSP_HERE);
    if (CHANNELS(const int, fixeds, 2) != 0 || !deep || !queue)
        return 1;
    PAR(qualified(fixed, c, fixeds, 2, cs, 3, point, text));
    IN_END(const int) fixed_in = IN_OF(fixed);
    RETIRE(fixed_in);
    uvcsp_channel_free(fixed);
    PAR(communicate(c, ps[0], cs, 3, ps, 2), choose(cs[0], cs[1], ps[1], cs, 3),
        lengths(bytes, strings, ends, c, dynamic), network(c, cs[2]), nothing());
    SEQ(values('c', 1, 1.5f, 1, 2.5L, "text", abs, (struct point){1, 2}, &where), later(c, 'c', 1, 1, 1),
        later_with_nothing());
    PAR(sixteen(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, cs, 3, cs, 3));
    PAR_FOR(i, 3, unused(cs[i], c, i));
    CO_FOR(i, 3, unused(cs[i], c, i));
    SEQ_FOR(i, 3, nothing());
    uvcsp_handle *h = SPAWN(nothing());
    if (uvcsp_alive(h) && uvcsp_join(h, 1.0) == UVCSP_TIMEOUT)
        uvcsp_kill(h);
    return PAR(nothing()) + PAR_FOR(i, 2, nothing());
}

PROCESS(later, IN(int, in), VAL(char, c), VAL(float, f), VAL(_Bool, b), VAL(short, s))
{
    printf("%d %c %g %d %d\n", READ(in), c, f, b, s);
}

PROCESS(later_with_nothing)
{
}
