/* Channels: any-to-any, typed, rendezvous or buffered, between any workers.

   The type and the direction of an end live in its C type, which is a pointer to an array that is
   never dereferenced. An IN_END(int) is an `int (*)[1]`, an OUT_END(int) an `int (*)[2]`, a CHAN(int)
   an `int (*)[3]`: the compiler keeps them apart, and nothing is left of it at run time.

   Ends are counted. A channel retires on a side when the last end of that side has gone (the first
   must have come); poison ends it at once, on both sides, for ever.

   Wherever a function here takes `void *`, a channel or an end of any type may be given. NULL, a
   pointer that is neither, or one that was freed: a checked function prints a line on stderr and
   returns -EINVAL; READ, WRITE and ALT print the line and abort, since there is no code to return.
   That something was freed is seen only until its memory is used again; and a channel of which
   there are ends, retired ones too, is still there: until the processes that had them have ended
   it is refused by uvcsp_channel_free() alone. */
#ifndef UVCSP_CHANNEL_H
#define UVCSP_CHANNEL_H

#include <uvcsp/base.h>

/* A message of variable length. What is written is copied when the communication happens and stays
   the writer's; the reader owns `data` of what it has read and frees it with free(). `size` may be
   0, and then `data` is NULL at the reader. CHAN(char *) behaves alike: strings with their 0, NULL
   stays NULL. */
typedef struct {
    void *data;
    size_t size;
} uvcsp_bytes;

/* A mobile end: an end that can be sent over a CHAN(uvcsp_end). See UVCSP_MOBILE. */
typedef struct {
    void *end_;
} uvcsp_end;

struct json_t; /* Jansson's; <uvcsp/json.h> */

/* A message of type `const T` is one of type T: what is read has to be written somewhere. As a value T
   has no qualifiers; an array is none, and stays as it is. */
#define UVCSP_RVALUE_(T) __typeof__(((void)0, *(__typeof__(T) *)0))
#define UVCSP_BARE_(T)                                                                             \
    __typeof__(*__builtin_choose_expr(                                                             \
        __builtin_types_compatible_p(__typeof__(T), UVCSP_RVALUE_(T)), (UVCSP_RVALUE_(T) *)0,      \
        (__typeof__(T) *)0))

#define UVCSP_IN_END(T) __typeof__(UVCSP_BARE_(T)(*)[1])
#define UVCSP_OUT_END(T) __typeof__(UVCSP_BARE_(T)(*)[2])
#define UVCSP_CHAN(T) __typeof__(UVCSP_BARE_(T)(*)[3])

/* How a message travels between two workers (within one worker it is copied from stack to stack).
   The default is UVCSP_PIPE, or what UVCSP_CARRIER in the environment says: "pipe" or "shared". */
enum uvcsp_carrier {
    UVCSP_PIPE = 1,   /* on a libuv pipe between the two workers, but for short ones (4 KiB) */
    UVCSP_SHARED = 2, /* in shared memory, whatever the length */
};

typedef struct {
    int capacity;                /* 0: rendezvous; n: up to n messages wait in the channel */
    const char *name;            /* for messages and tools; copied; NULL: the place of the call */
    enum uvcsp_carrier carrier;  /* 0: the default */
    const char *site_;           /* set by the macros */
} uvcsp_channel_options;

/* What kind of value the channel copies; chosen by UVCSP_TYPE_OF. */
enum uvcsp_type {
    UVCSP_TYPE_PLAIN,  /* sizeof(T) bytes */
    UVCSP_TYPE_BYTES,  /* uvcsp_bytes, deep-copied */
    UVCSP_TYPE_STRING, /* char *, deep-copied */
    UVCSP_TYPE_END,    /* uvcsp_end, moved */
    UVCSP_TYPE_JSON,   /* json_t *, deep-copied */
};

#define UVCSP_TYPE_OF(T)                                                                           \
    _Generic((UVCSP_BARE_(T) *)0,                                                                  \
        uvcsp_bytes *: UVCSP_TYPE_BYTES,                                                           \
        char **: UVCSP_TYPE_STRING,                                                                \
        uvcsp_end *: UVCSP_TYPE_END,                                                               \
        struct json_t **: UVCSP_TYPE_JSON,                                                         \
        default: UVCSP_TYPE_PLAIN)

/* Makes a channel for values of `size` bytes. It lives until the process that made it ends or until
   uvcsp_channel_free(), and in any case as long as an end of it is held. Does not block.
   NULL with a line on stderr: a negative or too large capacity (-EINVAL in errno), or no room in the
   shared arena for the channel and its buffer (ENOMEM). */
UVCSP_API void *uvcsp_channel_new(size_t size, enum uvcsp_type type, uvcsp_channel_options options);

/* Makes `n` of them into `array`. 0, or -errno, and then none was made and `array` is unchanged. */
UVCSP_API int uvcsp_channels_new(void *array, size_t n, size_t size, enum uvcsp_type type,
                                 uvcsp_channel_options options);

/* Gives up the maker's hold on the channel; with the last end it is gone. NULL is accepted. What is
   still buffered when the channel goes is dropped. */
UVCSP_API void uvcsp_channel_free(void *channel);

/* How many messages lie in the buffer now; -EINVAL for what is no channel or end. */
UVCSP_API int uvcsp_channel_size(void *channel_or_end);

#define UVCSP_CHANNEL(T, ...)                                                                      \
    ((UVCSP_CHAN(T))uvcsp_channel_new(                                                             \
        sizeof(T), UVCSP_TYPE_OF(T),                                                               \
        (uvcsp_channel_options){.site_ = UVCSP_HERE __VA_OPT__(, ) __VA_ARGS__}))

#define UVCSP_CHANNELS(T, array, n, ...)                                                           \
    __extension__({                                                                                \
        _Static_assert(__builtin_types_compatible_p(__typeof__(&(array)[0]), UVCSP_CHAN(T) *),     \
                       "CHANNELS needs an array of CHAN(T)");                                      \
        uvcsp_channels_new((array), (size_t)(n), sizeof(T), UVCSP_TYPE_OF(T),                      \
                           (uvcsp_channel_options){.site_ = UVCSP_HERE __VA_OPT__(, )              \
                                                       __VA_ARGS__});                              \
    })

/* The type of a channel's or an end's messages, and which of the three it is. */
#define UVCSP_ELEM_(c) __typeof__((*(c))[0])
#define UVCSP_IS_(c, kind, text)                                                                   \
    _Static_assert(sizeof(*(c)) == (kind) * sizeof((*(c))[0]), text)
#define UVCSP_SAME_(c, p, text)                                                                    \
    _Static_assert(__builtin_types_compatible_p(UVCSP_ELEM_(c), __typeof__(*(p))), text)

/* Ends of the caller's own. They retire with uvcsp_retire() or when the calling process ends. An end
   that is made after its side has retired, or on a poisoned channel, is made and is retired or
   poisoned from the start. NULL with a line on stderr: no channel given, or the arena is full. */
UVCSP_API void *uvcsp_in_of(void *channel);
UVCSP_API void *uvcsp_out_of(void *channel);

#define UVCSP_IN_OF(c)                                                                             \
    __extension__({                                                                                \
        UVCSP_IS_(c, 3, "IN_OF needs a channel");                                                  \
        (__typeof__(UVCSP_ELEM_(c)(*)[1])) uvcsp_in_of((c));                                       \
    })
#define UVCSP_OUT_OF(c)                                                                            \
    __extension__({                                                                                \
        UVCSP_IS_(c, 3, "OUT_OF needs a channel");                                                 \
        (__typeof__(UVCSP_ELEM_(c)(*)[2])) uvcsp_out_of((c));                                      \
    })

/* Reads one message into `value`, or writes the one at `value`. Blocks until a partner, or for a
   buffered channel the buffer, has taken part. On poison or retirement these do not return: they end
   the calling process, run what it has deferred, and poison or retire its other ends alike; in main()
   the program ends with a line on stderr and status 1. */
UVCSP_API UVCSP_DIRECT_ void uvcsp_take(void *in, void *value, const char *site);
UVCSP_API UVCSP_DIRECT_ void uvcsp_give(void *out, const void *value, const char *site);

#define UVCSP_READ(in)                                                                             \
    __extension__({                                                                                \
        UVCSP_IS_(in, 1, "READ needs a reading end: IN_OF(c) makes one, and IN(T, x) declares one");                                              \
        UVCSP_ELEM_(in) uvcsp_v_;                                                                  \
        uvcsp_take((in), &uvcsp_v_, UVCSP_HERE);                                                   \
        uvcsp_v_;                                                                                  \
    })
/* `WRITE(out, v)`; v may be a compound literal with commas. */
#define UVCSP_WRITE(out, ...)                                                                      \
    __extension__({                                                                                \
        UVCSP_IS_(out, 2, "WRITE needs a writing end: OUT_OF(c) makes one, and OUT(T, x) declares one");                                            \
        UVCSP_ELEM_(out) uvcsp_v_ = (__VA_ARGS__);                                                        \
        uvcsp_give((out), &uvcsp_v_, UVCSP_HERE);                                                  \
    })

/* The checked forms. `seconds`: how long to wait; negative for ever, 0 not at all. UVCSP_OK,
   UVCSP_RETIRED, UVCSP_POISONED; with a limit UVCSP_TIMEOUT; not waiting, UVCSP_WOULD_BLOCK;
   -EINVAL for a NULL or freed argument, or a limit that is not a number, -ENOMEM when a message of variable length has no room.
   Whatever is not UVCSP_OK has communicated nothing, and `value` is as it was. */
UVCSP_API int uvcsp_end_read(void *in, void *value, double seconds, const char *site);
UVCSP_API int uvcsp_end_write(void *out, const void *value, double seconds, const char *site);
UVCSP_API int uvcsp_end_read_try(void *in, void *value, const char *site);
UVCSP_API int uvcsp_end_write_try(void *out, const void *value, const char *site);

#define UVCSP_CHECKED_(c, kind, p, call)                                                           \
    __extension__({                                                                                \
        UVCSP_IS_(c, kind, "this end has the wrong direction");                                    \
        UVCSP_SAME_(c, p, "the end carries another type");                                         \
        call;                                                                                      \
    })
#define uvcsp_read_timeout(in, p, seconds)                                                         \
    UVCSP_CHECKED_(in, 1, p, uvcsp_end_read((in), (p), (seconds), UVCSP_HERE))
#define uvcsp_write_timeout(out, p, seconds)                                                       \
    UVCSP_CHECKED_(out, 2, p, uvcsp_end_write((out), (p), (seconds), UVCSP_HERE))
#define uvcsp_read(in, p) uvcsp_read_timeout(in, p, -1.0)
#define uvcsp_write(out, ...)                                                                      \
    UVCSP_CHECKED_(out, 2, (__VA_ARGS__), uvcsp_end_write((out), (__VA_ARGS__), -1.0, UVCSP_HERE))
#define uvcsp_read_try(in, p)                                                                      \
    UVCSP_CHECKED_(in, 1, p, uvcsp_end_read_try((in), (p), UVCSP_HERE))
#define uvcsp_write_try(out, p)                                                                    \
    UVCSP_CHECKED_(out, 2, p, uvcsp_end_write_try((out), (p), UVCSP_HERE))

/* Poisons a channel, or the channel of an end: at once, on both sides, for ever; what is buffered is
   dropped; a communication already agreed still completes. Idempotent; the first cause stays. */
UVCSP_API int uvcsp_poison_at(void *channel_or_end, const char *site);
#define uvcsp_poison(x) uvcsp_poison_at((x), UVCSP_HERE)
#define UVCSP_POISON(x) uvcsp_poison(x)

/* Retires an end: it is done, and its side of the channel retires with its last end. Readers still
   get what is buffered. Idempotent. -EINVAL for a channel: only an end can retire. The end goes with its
   process. One that its process has retired itself, or has sent away, may go before, but not within the next 512 that
   the process retires, and an array of any length can be retired as a whole, twice. */
UVCSP_API int uvcsp_retire(void *end);
#define UVCSP_RETIRE(end) uvcsp_retire(end)

/* Why the channel was poisoned: who did it and where, or which worker died and how. NULL while it is
   not poisoned. The text lives as long as the channel does. */
UVCSP_API const char *uvcsp_cause(void *channel_or_end);

/* Mobile ends. MOBILE(end) takes the end from its holder, whose own pointer is retired from then on,
   and gives a value that can be written to a CHAN(uvcsp_end). Whoever reads it owns the end. Only a process that owns it
   can send it, once: a value that was sent before, or is another process's, is refused with a line on stderr. AS_IN and
   AS_OUT give it its type back, and abort with a line on stderr if size or direction differ (C types
   of equal size cannot be told apart at run time). */
UVCSP_API uvcsp_end uvcsp_mobile(void *end);
UVCSP_API void *uvcsp_as_in(uvcsp_end end, size_t size);
UVCSP_API void *uvcsp_as_out(uvcsp_end end, size_t size);
#define UVCSP_MOBILE(end) uvcsp_mobile(end)
#define UVCSP_AS_IN(T, e) ((UVCSP_IN_END(T))uvcsp_as_in((e), sizeof(T)))
#define UVCSP_AS_OUT(T, e) ((UVCSP_OUT_END(T))uvcsp_as_out((e), sizeof(T)))

#endif
