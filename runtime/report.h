/* Lines on stderr. Each is one write, begins with "uvcsp: " and ends with a newline, so that lines of
   several workers do not mix. */
#ifndef USP_RUNTIME_REPORT_H
#define USP_RUNTIME_REPORT_H

#include <stdbool.h>

__attribute__((format(printf, 1, 2))) void usp_report(const char *format, ...);

/* The same, then abort(): a broken invariant, or a call that has no other way to say so. */
__attribute__((format(printf, 1, 2), noreturn, cold)) void usp_fatal(const char *format, ...);

/* Is this timeout a number? Else false, and a line. */
void usp_timeout_is_none(const char *site) __attribute__((cold));
static inline bool usp_timeout_is_good(double timeout, const char *site)
{
    if (__builtin_expect(timeout == timeout, 1))
        return true;
    usp_timeout_is_none(site);
    return false;
}

#endif
