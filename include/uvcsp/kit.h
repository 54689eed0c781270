/* The kit: ready-made processes, from which networks are put together.

       #include <uvcsp/kit.h>
       KIT(int)

   at file scope defines these processes for messages of type int, private to the file:

       identity_int(in, out)           hands on what comes
       prefix_int(first, in, out)      hands on `first`, then what comes
       tail_int(in, out)               drops the first, hands on the rest
       delta_int(in, left, right)      each message to both, first left, then right
       delta_par_int(in, left, right)  each message to both, to whoever is ready first
       broadcast_int(in, outs, n)      each message to all that still listen, in any order
       mux_int(ins, n, out)            whatever comes from any input, fairly
       buffer_int(n, in, out)          up to n messages wait here; then who sends has to wait
       overwrite_int(n, in, out)       the same, but then the oldest is dropped
       regulate_int(interval, in, out) the latest message every `interval` seconds: what came
                                       between is dropped; if nothing came, the last one again
       successor_int(in, out)          each number plus one
       plus_int(left, right, out)      the sum of a number from each, which come in any order

   KIT_OF(T, name) defines them under `_name`, but for the last two, for any type that is copied by
   value: a structure, `unsigned long`. KIT_NUMBERS(T, name) defines the last two. (What lies behind
   pointers is not the kit's to copy or to free: of CHAN(char *), uvcsp_bytes and json_t * it wants
   to know nothing.)

   How they end. Poison met at one end poisons the others. Retirement retires them, and nothing is
   lost by that: what a buffer holds is handed on before it ends. Two go on as long as there is
   anything to do: mux ends when the last of its inputs has retired, broadcast when nobody listens
   any more. When its input retires, regulate sends the latest message, if it was not sent before,
   in its time. */
#ifndef UVCSP_KIT_H
#define UVCSP_KIT_H

#include <stdlib.h>
#include <string.h>
#include <uvcsp.h>

#define UVCSP_KIT(T)                                                                               \
    UVCSP_KIT_OF(T, T)                                                                             \
    UVCSP_KIT_NUMBERS(T, T)

#define UVCSP_KIT_OF(T, name)                                                                      \
    _Static_assert(UVCSP_TYPE_OF(T) == UVCSP_TYPE_PLAIN, "the kit is for types copied by value");  \
    UVCSP_KIT_LINE_(T, name)                                                                       \
    UVCSP_KIT_FANS_(T, name)                                                                       \
    UVCSP_KIT_STORES_(T, name)

#define UVCSP_KIT_LINE_(T, name)                                                                   \
    UVCSP_PROCESS(identity_##name, IN(T, in), OUT(T, out))                                         \
    {                                                                                              \
        for (;;)                                                                                   \
            UVCSP_WRITE(out, UVCSP_READ(in));                                                      \
    }                                                                                              \
    UVCSP_PROCESS(prefix_##name, VAL(T, first), IN(T, in), OUT(T, out))                            \
    {                                                                                              \
        UVCSP_WRITE(out, first);                                                                   \
        for (;;)                                                                                   \
            UVCSP_WRITE(out, UVCSP_READ(in));                                                      \
    }                                                                                              \
    UVCSP_PROCESS(tail_##name, IN(T, in), OUT(T, out))                                             \
    {                                                                                              \
        (void)UVCSP_READ(in);                                                                      \
        for (;;)                                                                                   \
            UVCSP_WRITE(out, UVCSP_READ(in));                                                      \
    }

#define UVCSP_KIT_FANS_(T, name)                                                                   \
    UVCSP_PROCESS(delta_##name, IN(T, in), OUT(T, left), OUT(T, right))                            \
    {                                                                                              \
        for (;;) {                                                                                 \
            __typeof__(T) uvcsp_x_ = UVCSP_READ(in);                                               \
            UVCSP_WRITE(left, uvcsp_x_);                                                           \
            UVCSP_WRITE(right, uvcsp_x_);                                                          \
        }                                                                                          \
    }                                                                                              \
    UVCSP_PROCESS(delta_par_##name, IN(T, in), OUT(T, left), OUT(T, right))                        \
    {                                                                                              \
        for (;;) {                                                                                 \
            __typeof__(T) uvcsp_x_ = UVCSP_READ(in);                                               \
            if (UVCSP_ALT(UVCSP_ON_WRITE(left, uvcsp_x_), UVCSP_ON_WRITE(right, uvcsp_x_)) == 0)   \
                UVCSP_WRITE(right, uvcsp_x_);                                                      \
            else                                                                                   \
                UVCSP_WRITE(left, uvcsp_x_);                                                       \
        }                                                                                          \
    }                                                                                              \
    UVCSP_PROCESS(broadcast_##name, IN(T, in), OUTS(T, outs, n))                                   \
    {                                                                                              \
        struct uvcsp_fan uvcsp_fan_ = uvcsp_fan_of((void **)outs, n, UVCSP_GUARD_WRITE);           \
        while (uvcsp_fan_.n_open > 0) {                                                            \
            __typeof__(T) uvcsp_x_ = UVCSP_READ(in);                                               \
            uvcsp_fan_write(&uvcsp_fan_, &uvcsp_x_);                                               \
        }                                                                                          \
    }                                                                                              \
    UVCSP_PROCESS(mux_##name, INS(T, ins, n), OUT(T, out))                                         \
    {                                                                                              \
        __typeof__(T) uvcsp_x_;                                                                    \
        struct uvcsp_fan uvcsp_fan_ = uvcsp_fan_of((void **)ins, n, UVCSP_GUARD_READ);             \
        while (uvcsp_fan_read(&uvcsp_fan_, &uvcsp_x_))                                             \
            UVCSP_WRITE(out, uvcsp_x_);                                                            \
    }

#define UVCSP_KIT_STORES_(T, name)                                                                 \
    UVCSP_PROCESS(buffer_##name, VAL(int, n), IN(T, in), OUT(T, out))                              \
    {                                                                                              \
        uvcsp_kit_store(in, out, sizeof(T), n, false);                                             \
    }                                                                                              \
    UVCSP_PROCESS(overwrite_##name, VAL(int, n), IN(T, in), OUT(T, out))                           \
    {                                                                                              \
        uvcsp_kit_store(in, out, sizeof(T), n, true);                                              \
    }                                                                                              \
    UVCSP_PROCESS(regulate_##name, VAL(double, interval), IN(T, in), OUT(T, out))                  \
    {                                                                                              \
        uvcsp_kit_regulate(in, out, sizeof(T), interval);                                          \
    }

#define UVCSP_KIT_NUMBERS(T, name)                                                                 \
    UVCSP_PROCESS(successor_##name, IN(T, in), OUT(T, out))                                        \
    {                                                                                              \
        for (;;)                                                                                   \
            UVCSP_WRITE(out, UVCSP_READ(in) + 1);                                                  \
    }                                                                                              \
    UVCSP_PROCESS(plus_##name, IN(T, left), IN(T, right), OUT(T, out))                             \
    {                                                                                              \
        for (;;) {                                                                                 \
            __typeof__(T) uvcsp_x_, uvcsp_y_;                                                      \
            if (UVCSP_ALT(UVCSP_ON_READ(left, &uvcsp_x_), UVCSP_ON_READ(right, &uvcsp_y_)) == 0)   \
                uvcsp_y_ = UVCSP_READ(right);                                                      \
            else                                                                                   \
                uvcsp_x_ = UVCSP_READ(left);                                                       \
            UVCSP_WRITE(out, uvcsp_x_ + uvcsp_y_);                                                 \
        }                                                                                          \
    }

/* ---- what is the same for all types ---- */

/* Many ends of one direction. */
struct uvcsp_fan {
    uvcsp_guard *guards;
    size_t n, n_open;
};

static inline void *uvcsp_kit_memory(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory || uvcsp_defer(free, memory) != 0)
        abort();
    return memory;
}

static inline struct uvcsp_fan uvcsp_fan_of(void **ends, size_t n, enum uvcsp_guard_kind kind)
{
    struct uvcsp_fan fan = {(uvcsp_guard *)uvcsp_kit_memory(n, sizeof(uvcsp_guard)), n, n};
    for (size_t i = 0; i < n; i++)
        fan.guards[i] = (uvcsp_guard){.kind = kind, .on = true, .subject = ends[i]};
    return fan;
}

/* Waits for one of the guards that are switched on; ends the process on poison. Of one that has
   retired nothing is expected any more: -1. */
static inline int uvcsp_fan_alt(struct uvcsp_fan *fan)
{
    int k = uvcsp_alt(fan->guards, fan->n, UVCSP_FAIR);
    if (k >= 0)
        return k;
    uvcsp_guard *failed = uvcsp_alt_failed() >= 0 ? &fan->guards[uvcsp_alt_failed()] : NULL;
    if (k != -UVCSP_RETIRED || !failed)
        uvcsp_choose(failed ? failed : fan->guards, 1, UVCSP_PRI, "the kit"); /* does not return */
    failed->on = false;
    failed->subject = NULL;
    fan->n_open--;
    return -1;
}

/* False: all have retired. */
static inline bool uvcsp_fan_read(struct uvcsp_fan *fan, void *x)
{
    for (size_t i = 0; i < fan->n; i++)
        fan->guards[i].data = x;
    while (fan->n_open > 0)
        if (uvcsp_fan_alt(fan) >= 0)
            return true;
    return false;
}

/* To each that has not retired. */
static inline void uvcsp_fan_write(struct uvcsp_fan *fan, void *x)
{
    size_t left = fan->n_open;
    for (size_t i = 0; i < fan->n; i++) {
        fan->guards[i].data = x;
        fan->guards[i].on = fan->guards[i].subject != NULL;
    }
    for (; left > 0; left--) {
        int k = uvcsp_fan_alt(fan);
        if (k >= 0)
            fan->guards[k].on = false;
    }
}

/* Ends the process by what its end has met, which was no retirement. */
static inline void uvcsp_kit_end(uvcsp_guard *guard)
{
    (void)uvcsp_choose(guard, 1, UVCSP_PRI, "the kit");
}

/* A buffer of `n` messages. */
static inline void uvcsp_kit_store(void *in, void *out, size_t size, int n, bool overwrites)
{
    size_t room = n < 1 ? 1 : (size_t)n, first = 0, held = 0;
    char *slots = (char *)uvcsp_kit_memory(room, size),
         *incoming = (char *)uvcsp_kit_memory(1, size);
    uvcsp_guard guards[] = {
        {.kind = UVCSP_GUARD_READ, .on = true, .subject = in, .data = incoming},
        {.kind = UVCSP_GUARD_WRITE, .subject = out},
    };
    for (bool open = true; open || held > 0;) {
        guards[0].on = open && (overwrites || held < room);
        guards[1].on = held > 0;
        guards[1].data = slots + first * size;
        int k = uvcsp_alt(guards, 2, UVCSP_FAIR);
        if (k == 0) {
            if (held == room) {
                first = (first + 1) % room;
                held--;
            }
            memcpy(slots + (first + held++) % room * size, incoming, size);
        } else if (k == 1) {
            first = (first + 1) % room;
            held--;
        } else if (k == -UVCSP_RETIRED && uvcsp_alt_failed() == 0) {
            open = false;
        } else {
            uvcsp_kit_end(&guards[uvcsp_alt_failed() == 1]);
        }
    }
}

static inline void uvcsp_kit_regulate(void *in, void *out, size_t size, double interval)
{
    char *incoming = (char *)uvcsp_kit_memory(2, size), *latest = incoming + size;
    double due = -1;                 /* when to send; negative: nothing has come yet */
    bool open = true, fresh = false; /* the input has not retired; the latest was not sent */
    while (open || fresh) {
        double left = due - uvcsp_now();
        uvcsp_guard guards[] = {
            {.kind = UVCSP_GUARD_READ, .on = open, .subject = in, .data = incoming},
            {.kind = UVCSP_GUARD_WRITE,
             .on = due >= 0 && left <= 0,
             .subject = out,
             .data = latest},
            {.kind = UVCSP_GUARD_TIMEOUT, .on = due >= 0 && left > 0, .seconds = left},
        };
        int k = uvcsp_alt(guards, 3, UVCSP_FAIR);
        if (k == 0) {
            memcpy(latest, incoming, size);
            fresh = true;
            if (due < 0)
                due = uvcsp_now() + interval;
        } else if (k == 1) {
            fresh = false;
            due = -left < interval ? due + interval : uvcsp_now() + interval;
        } else if (k == -UVCSP_RETIRED && uvcsp_alt_failed() == 0) {
            open = false;
        } else if (k < 0) {
            uvcsp_kit_end(&guards[uvcsp_alt_failed() == 1]);
        }
    }
}

#ifndef UVCSP_LONG_NAMES
#define KIT(T) UVCSP_KIT(T)
#define KIT_OF(T, name) UVCSP_KIT_OF(T, name)
#define KIT_NUMBERS(T, name) UVCSP_KIT_NUMBERS(T, name)
#endif

#endif
