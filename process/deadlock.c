/* Nothing in the program can ever run again: every process waits for another, the loop has nothing that could
   happen, and there is no other worker. Then the program is told what waits for what, and ends; it would
   hang otherwise. This sees a program that is one worker whole; it never takes a program that could go on
   for one that cannot: whatever the loop still holds, be it the program's own, counts as hope. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/process.h"
#include "runtime/report.h"

static void tell(const struct usp_task *task)
{
    char waits[400];
    if (!usp_describe_wait(task, waits, sizeof waits))
        snprintf(waits, sizeof waits, "for other processes to end");
    usp_report("  process '%s' waits %s%s%s%s", task->name, waits, task->site ? " (at " : "",
               task->site ? task->site : "", task->site ? ")" : "");
}

void usp_deadlock(void)
{
    const char *mode = getenv("UVCSP_DEADLOCK");
    if (mode && strcmp(mode, "off") == 0)
        return;
    usp_report("deadlock: nothing in this program can ever run again");
    unsigned n = 0;
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next)
        if (fibre->task && ++n <= 20)
            tell(fibre->task);
    if (n > 20)
        usp_report("  and %u more", n - 20);
    if (mode && strcmp(mode, "abort") == 0)
        abort();
    exit(1);
}
