/* The parameter words of PROCESS: IN OUT VAL INS OUTS. They are no macros, only words that get pasted to
   a prefix: IN(int, x) becomes UVCSP_FIELD_IN(int, x) where a structure is declared, and so on. */
#ifndef UVCSP_PARAMS_H
#define UVCSP_PARAMS_H

#include <uvcsp/channel.h>

enum uvcsp_param_kind {
    UVCSP_PARAM_END, /* closes the table */
    UVCSP_PARAM_VAL_KIND,
    UVCSP_PARAM_IN_KIND,
    UVCSP_PARAM_OUT_KIND,
    UVCSP_PARAM_INS_KIND,
    UVCSP_PARAM_OUTS_KIND,
    UVCSP_PARAM_CONN_KIND, /* a VAL that is a connection of <uvcsp/pipe.h> */
};

struct uvcsp_conn;

/* a member of the copied arguments */
#define UVCSP_FIELD_(s) UVCSP_FIELD_##s
#define UVCSP_FIELD_VAL(T, x) __typeof__(T) x;
#define UVCSP_FIELD_IN(T, x) UVCSP_IN_END(T) x;
#define UVCSP_FIELD_OUT(T, x) UVCSP_OUT_END(T) x;
#define UVCSP_FIELD_INS(T, x, n) UVCSP_IN_END(T) * x; size_t n;
#define UVCSP_FIELD_OUTS(T, x, n) UVCSP_OUT_END(T) * x; size_t n;

/* a parameter of the body */
#define UVCSP_FORMAL_(s) UVCSP_FORMAL_##s
#define UVCSP_FORMAL_VAL(T, x) __typeof__(T) x
#define UVCSP_FORMAL_IN(T, x) UVCSP_IN_END(T) x
#define UVCSP_FORMAL_OUT(T, x) UVCSP_OUT_END(T) x
#define UVCSP_FORMAL_INS(T, x, n) UVCSP_IN_END(T) * x, size_t n
#define UVCSP_FORMAL_OUTS(T, x, n) UVCSP_OUT_END(T) * x, size_t n

/* a parameter of the constructor: what the caller may give */
#define UVCSP_EITHER_(A, B)                                                                        \
    union {                                                                                        \
        A channel_;                                                                                \
        B end_;                                                                                    \
    } __attribute__((transparent_union))
#define UVCSP_PROMOTED_(T)                                                                         \
    __typeof__(_Generic(*(__typeof__(T) *)0, float: 0.0, char: 0, signed char: 0, unsigned char: 0, short: 0, unsigned short: 0, _Bool: 0, default: *(__typeof__(T) *)0))
#define UVCSP_ACCEPT_(s) UVCSP_ACCEPT_##s
#define UVCSP_ACCEPT_VAL(T, x) UVCSP_PROMOTED_(T) x
#define UVCSP_ACCEPT_IN(T, x) UVCSP_EITHER_(UVCSP_CHAN(T), UVCSP_IN_END(T)) x
#define UVCSP_ACCEPT_OUT(T, x) UVCSP_EITHER_(UVCSP_CHAN(T), UVCSP_OUT_END(T)) x
#define UVCSP_ACCEPT_INS(T, x, n) UVCSP_EITHER_(UVCSP_CHAN(T) *, UVCSP_IN_END(T) *) x, size_t n
#define UVCSP_ACCEPT_OUTS(T, x, n) UVCSP_EITHER_(UVCSP_CHAN(T) *, UVCSP_OUT_END(T) *) x, size_t n

/* from the constructor's parameter into the copied arguments */
#define UVCSP_COPY_(s) UVCSP_COPY_##s
#define UVCSP_COPY_VAL(T, x)                                                                       \
    {                                                                                              \
        __typeof__(T) uvcsp_t_ = x; /* which may be const */                                       \
        __builtin_memcpy((void *)&uvcsp_a_.x, &uvcsp_t_, sizeof uvcsp_t_);                         \
    }
#define UVCSP_COPY_IN(T, x) uvcsp_a_.x = x.end_;
#define UVCSP_COPY_OUT(T, x) uvcsp_a_.x = x.end_;
#define UVCSP_COPY_INS(T, x, n) uvcsp_a_.x = x.end_; uvcsp_a_.n = n;
#define UVCSP_COPY_OUTS(T, x, n) uvcsp_a_.x = x.end_; uvcsp_a_.n = n;

/* from the constructor of a process that is declared only, to the function behind it */
#define UVCSP_HANDED_(s) UVCSP_HANDED_##s
#define UVCSP_HANDED_VAL(T, x) x
#define UVCSP_HANDED_IN(T, x) x.end_
#define UVCSP_HANDED_OUT(T, x) x.end_
#define UVCSP_HANDED_INS(T, x, n) x.end_, n
#define UVCSP_HANDED_OUTS(T, x, n) x.end_, n

/* from that function to the constructor that PROCESS writes */
#define UVCSP_PASSED_(s) UVCSP_PASSED_##s
#define UVCSP_PASSED_VAL(T, x) x
#define UVCSP_PASSED_IN(T, x) x
#define UVCSP_PASSED_OUT(T, x) x
#define UVCSP_PASSED_INS(T, x, n) x, n
#define UVCSP_PASSED_OUTS(T, x, n) x, n

/* from the copied arguments to the body */
#define UVCSP_ACTUAL_(s) UVCSP_ACTUAL_##s
#define UVCSP_ACTUAL_VAL(T, x) uvcsp_a_->x
#define UVCSP_ACTUAL_IN(T, x) uvcsp_a_->x
#define UVCSP_ACTUAL_OUT(T, x) uvcsp_a_->x
#define UVCSP_ACTUAL_INS(T, x, n) uvcsp_a_->x, uvcsp_a_->n
#define UVCSP_ACTUAL_OUTS(T, x, n) uvcsp_a_->x, uvcsp_a_->n

/* an entry of the table of parameters */
#define UVCSP_PARAM_(S, s) UVCSP_PARAM_1_(S, UVCSP_PARAM_##s)
#define UVCSP_PARAM_1_(S, ...) UVCSP_PARAM_2_(S, __VA_ARGS__)
#define UVCSP_PARAM_2_(S, kind, x, n) {kind, offsetof(S, x), offsetof(S, n)},
#define UVCSP_PARAM_VAL(T, x)                                                                      \
    _Generic((__typeof__(T) *)0, struct uvcsp_conn **: UVCSP_PARAM_CONN_KIND,                      \
             default: UVCSP_PARAM_VAL_KIND), x, x
#define UVCSP_PARAM_IN(T, x) UVCSP_PARAM_IN_KIND, x, x
#define UVCSP_PARAM_OUT(T, x) UVCSP_PARAM_OUT_KIND, x, x
#define UVCSP_PARAM_INS(T, x, n) UVCSP_PARAM_INS_KIND, x, n
#define UVCSP_PARAM_OUTS(T, x, n) UVCSP_PARAM_OUTS_KIND, x, n

/* How many parameters, 0 to 16. */
#define UVCSP_COUNT_(...)                                                                          \
    UVCSP_COUNT_1_(0 __VA_OPT__(, ) __VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define UVCSP_COUNT_1_(z, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count

/* EACH: m(a) m(b) ...   EACH_WITH: m(w, a) m(w, b) ...
   LIST: m(a), m(b), ... or void   ACTUALS: the same or nothing */
#define UVCSP_EACH_(m, ...) UVCSP_CAT(UVCSP_EACH_, UVCSP_COUNT_(__VA_ARGS__))(m, __VA_ARGS__)
#define UVCSP_EACH_WITH_(m, w, ...) UVCSP_CAT(UVCSP_WITH_, UVCSP_COUNT_(__VA_ARGS__))(m, w, __VA_ARGS__)
#define UVCSP_ACTUALS_(m, ...) UVCSP_CAT(UVCSP_LIST_, UVCSP_COUNT_(__VA_ARGS__))(m, __VA_ARGS__)
#define UVCSP_LIST_(m, ...) UVCSP_ACTUALS_(m, __VA_ARGS__) UVCSP_CAT(UVCSP_VOID_, UVCSP_COUNT_(__VA_ARGS__))
#define UVCSP_VOID_0 void
#define UVCSP_VOID_1
#define UVCSP_VOID_2
#define UVCSP_VOID_3
#define UVCSP_VOID_4
#define UVCSP_VOID_5
#define UVCSP_VOID_6
#define UVCSP_VOID_7
#define UVCSP_VOID_8
#define UVCSP_VOID_9
#define UVCSP_VOID_10
#define UVCSP_VOID_11
#define UVCSP_VOID_12
#define UVCSP_VOID_13
#define UVCSP_VOID_14
#define UVCSP_VOID_15
#define UVCSP_VOID_16
#define UVCSP_EACH_0(m, ...)
#define UVCSP_EACH_1(m, p1) m(p1)
#define UVCSP_EACH_2(m, p1, p2) m(p1) m(p2)
#define UVCSP_EACH_3(m, p1, p2, p3) m(p1) m(p2) m(p3)
#define UVCSP_EACH_4(m, p1, p2, p3, p4) m(p1) m(p2) m(p3) m(p4)
#define UVCSP_EACH_5(m, p1, p2, p3, p4, p5) m(p1) m(p2) m(p3) m(p4) m(p5)
#define UVCSP_EACH_6(m, p1, p2, p3, p4, p5, p6) m(p1) m(p2) m(p3) m(p4) m(p5) m(p6)
#define UVCSP_EACH_7(m, p1, p2, p3, p4, p5, p6, p7) m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7)
#define UVCSP_EACH_8(m, p1, p2, p3, p4, p5, p6, p7, p8) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8)
#define UVCSP_EACH_9(m, p1, p2, p3, p4, p5, p6, p7, p8, p9) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9)
#define UVCSP_EACH_10(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10)
#define UVCSP_EACH_11(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10) m(p11)
#define UVCSP_EACH_12(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10) m(p11) m(p12)
#define UVCSP_EACH_13(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10) m(p11) m(p12) m(p13)
#define UVCSP_EACH_14(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10) m(p11) m(p12) m(p13) m(p14)
#define UVCSP_EACH_15(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10) m(p11) m(p12) m(p13) m(p14) m(p15)
#define UVCSP_EACH_16(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16) \
    m(p1) m(p2) m(p3) m(p4) m(p5) m(p6) m(p7) m(p8) m(p9) m(p10) m(p11) m(p12) m(p13) m(p14) m(p15) m(p16)
#define UVCSP_WITH_0(m, w, ...)
#define UVCSP_WITH_1(m, w, p1) m(w, p1)
#define UVCSP_WITH_2(m, w, p1, p2) m(w, p1) m(w, p2)
#define UVCSP_WITH_3(m, w, p1, p2, p3) m(w, p1) m(w, p2) m(w, p3)
#define UVCSP_WITH_4(m, w, p1, p2, p3, p4) m(w, p1) m(w, p2) m(w, p3) m(w, p4)
#define UVCSP_WITH_5(m, w, p1, p2, p3, p4, p5) m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5)
#define UVCSP_WITH_6(m, w, p1, p2, p3, p4, p5, p6) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6)
#define UVCSP_WITH_7(m, w, p1, p2, p3, p4, p5, p6, p7) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7)
#define UVCSP_WITH_8(m, w, p1, p2, p3, p4, p5, p6, p7, p8) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8)
#define UVCSP_WITH_9(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9)
#define UVCSP_WITH_10(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10)
#define UVCSP_WITH_11(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10) m(w, p11)
#define UVCSP_WITH_12(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10) m(w, p11) m(w, p12)
#define UVCSP_WITH_13(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10) m(w, p11) m(w, p12) m(w, p13)
#define UVCSP_WITH_14(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10) m(w, p11) m(w, p12) m(w, p13) m(w, p14)
#define UVCSP_WITH_15(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10) m(w, p11) m(w, p12) m(w, p13) m(w, p14) m(w, p15)
#define UVCSP_WITH_16(m, w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16) \
    m(w, p1) m(w, p2) m(w, p3) m(w, p4) m(w, p5) m(w, p6) m(w, p7) m(w, p8) m(w, p9) m(w, p10) m(w, p11) m(w, p12) m(w, p13) m(w, p14) m(w, p15) m(w, p16)
#define UVCSP_LIST_0(m, ...)
#define UVCSP_LIST_1(m, p1) m(p1)
#define UVCSP_LIST_2(m, p1, p2) m(p1), m(p2)
#define UVCSP_LIST_3(m, p1, p2, p3) m(p1), m(p2), m(p3)
#define UVCSP_LIST_4(m, p1, p2, p3, p4) m(p1), m(p2), m(p3), m(p4)
#define UVCSP_LIST_5(m, p1, p2, p3, p4, p5) m(p1), m(p2), m(p3), m(p4), m(p5)
#define UVCSP_LIST_6(m, p1, p2, p3, p4, p5, p6) m(p1), m(p2), m(p3), m(p4), m(p5), m(p6)
#define UVCSP_LIST_7(m, p1, p2, p3, p4, p5, p6, p7) m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7)
#define UVCSP_LIST_8(m, p1, p2, p3, p4, p5, p6, p7, p8) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8)
#define UVCSP_LIST_9(m, p1, p2, p3, p4, p5, p6, p7, p8, p9) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9)
#define UVCSP_LIST_10(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10)
#define UVCSP_LIST_11(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10), m(p11)
#define UVCSP_LIST_12(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10), m(p11), m(p12)
#define UVCSP_LIST_13(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10), m(p11), m(p12), m(p13)
#define UVCSP_LIST_14(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10), m(p11), m(p12), m(p13), m(p14)
#define UVCSP_LIST_15(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10), m(p11), m(p12), m(p13), m(p14), m(p15)
#define UVCSP_LIST_16(m, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16) \
    m(p1), m(p2), m(p3), m(p4), m(p5), m(p6), m(p7), m(p8), m(p9), m(p10), m(p11), m(p12), m(p13), m(p14), m(p15), m(p16)

#endif
