#include "runtime/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void say(const char *format, va_list arguments)
{
    int saved = errno;
    char line[1024];
    int n = snprintf(line, sizeof line, "uvcsp: ");
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, arguments);
    n = m < 0 ? n : n + m;
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0) {
        /* there is nobody left to tell */
    }
    errno = saved;
}

void usp_report(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void usp_fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    abort();
}

void usp_timeout_is_none(const char *site)
{
    usp_report("%s: the timeout is not a number", site);
}
