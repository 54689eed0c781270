/* uvcsp: communicating sequential processes for C, on libuv.

   A program is a network of processes that share nothing and communicate over typed channels:

       PROCESS(producer, OUT(int, out), VAL(int, n)) {
           for (int i = 0; i < n; i++)
               WRITE(out, i);
       }

       PROCESS(printer, IN(int, in)) {
           for (;;)
               printf("%d\n", READ(in));
       }

       int main(void) {
           CHAN(int) c = CHANNEL(int);
           return PAR(producer(c, 10), printer(c));
       }

   This header includes the whole face of the core. The parts, each of which can be read alone:

     uvcsp/channel.h   channels, ends, READ and WRITE, poison and retirement
     uvcsp/process.h   PROCESS, PAR, CO, SEQ, SPAWN, GO, handles
     uvcsp/alt.h       choice: ALT, PRI_ALT and the guards
     uvcsp/time.h      clock, sleep, descriptors, blocking calls, the libuv loop
     uvcsp/names.h     the short names; `#define UVCSP_LONG_NAMES` before the include leaves them out

   Conventions of every function: 0 (UVCSP_OK) is done, a positive number is a condition of `enum
   uvcsp_status`, a negative one is -errno. How long to wait is a number: what is none gives
   -EINVAL and a line on stderr. A call from a thread other than the one that first used the library in this
   operating-system process prints a line and aborts. */
#ifndef UVCSP_H
#define UVCSP_H

#include <uvcsp/channel.h>
#include <uvcsp/process.h>
#include <uvcsp/alt.h>
#include <uvcsp/time.h>
#ifndef UVCSP_LONG_NAMES
#include <uvcsp/names.h>
#endif

#endif
