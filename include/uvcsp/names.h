/* The short names: aliases of UVCSP_..., left out by `#define UVCSP_LONG_NAMES`. */
#ifndef UVCSP_NAMES_H
#define UVCSP_NAMES_H

#define PROCESS(...) UVCSP_PROCESS(__VA_ARGS__)
#define PROCESS_DECLARE(...) UVCSP_PROCESS_DECLARE(__VA_ARGS__)
#define PAR(...) UVCSP_PAR(__VA_ARGS__)
#define CO(...) UVCSP_CO(__VA_ARGS__)
#define SEQ(...) UVCSP_SEQ(__VA_ARGS__)
#define WORKER(...) UVCSP_WORKER(__VA_ARGS__)
#define PAR_FOR(i, n, p) UVCSP_PAR_FOR(i, n, p)
#define CO_FOR(i, n, p) UVCSP_CO_FOR(i, n, p)
#define SEQ_FOR(i, n, p) UVCSP_SEQ_FOR(i, n, p)
#define SPAWN(p) UVCSP_SPAWN(p)
#define GO(p) UVCSP_GO(p)
#define DEFER(fn, arg) UVCSP_DEFER(fn, arg)

#define CHAN(T) UVCSP_CHAN(T)
#define IN_END(T) UVCSP_IN_END(T)
#define OUT_END(T) UVCSP_OUT_END(T)
#define CHANNEL(T, ...) UVCSP_CHANNEL(T __VA_OPT__(, ) __VA_ARGS__)
#define CHANNELS(T, array, ...) UVCSP_CHANNELS(T, array, __VA_ARGS__)
#define IN_OF(c) UVCSP_IN_OF(c)
#define OUT_OF(c) UVCSP_OUT_OF(c)
#define READ(in) UVCSP_READ(in)
#define WRITE(out, ...) UVCSP_WRITE(out, __VA_ARGS__)
#define POISON(x) UVCSP_POISON(x)
#define RETIRE(end) UVCSP_RETIRE(end)
#define MOBILE(end) UVCSP_MOBILE(end)
#define AS_IN(T, e) UVCSP_AS_IN(T, e)
#define AS_OUT(T, e) UVCSP_AS_OUT(T, e)

#define ALT(...) UVCSP_ALT(__VA_ARGS__)
#define PRI_ALT(...) UVCSP_PRI_ALT(__VA_ARGS__)
#define ON_READ(in, p) UVCSP_ON_READ(in, p)
#define ON_WRITE(out, ...) UVCSP_ON_WRITE(out, __VA_ARGS__)
#define ON_TIMEOUT(s) UVCSP_ON_TIMEOUT(s)
#define ON_SKIP UVCSP_ON_SKIP
#define ON_FD(fd, events) UVCSP_ON_FD(fd, events)
#define ON_SIGNAL(signum) UVCSP_ON_SIGNAL(signum)
#define ON_ENDED(handle) UVCSP_ON_ENDED(handle)
#define WHEN(condition, guard) UVCSP_WHEN(condition, guard)

#endif
