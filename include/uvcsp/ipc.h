/* Specialised channel types, for who knows multiprocessing: each of these headers can be read alone. They
   need Jansson's header, and the library on the linker's line.

     uvcsp/queue.h   queues of dynamic values or of any type
     uvcsp/pipe.h    pipes; listeners and clients for programs that are not related
     uvcsp/manager.h a server process that owns objects, and proxies for all the others
     uvcsp/pool.h    pools of workers that wait for tasks
     uvcsp/shared.h  values and arrays in shared memory, with locks; blocks with a name
     uvcsp/kit.h     ready-made processes
     uvcsp/sync.h    locks, semaphores, conditions, events, barriers; also as guards of a choice */
#ifndef UVCSP_IPC_H
#define UVCSP_IPC_H

#include <uvcsp.h>
#include <uvcsp/kit.h>
#include <uvcsp/queue.h>
#include <uvcsp/pipe.h>
#include <uvcsp/manager.h>
#include <uvcsp/pool.h>
#include <uvcsp/shared.h>
#include <uvcsp/sync.h>
#ifndef UVCSP_LONG_NAMES
#include <uvcsp/ipc_names.h>
#endif

#endif
