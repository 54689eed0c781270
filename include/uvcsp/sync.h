/* Synchronisation: locks, semaphores, conditions, events and barriers, for processes that share
   memory
   (<uvcsp/shared.h>). They work between any processes of a program, in whichever workers, by their
   plain pointers, which may be kept in variables, passed as VAL, sent, or put into shared memory.

   Who waits blocks its process only: other light processes of the worker go on. `seconds` says how
   long to wait: negative for ever, 0 not at all. Where nobody else wants the object, no function
   here makes a system call.

   Most objects can be guards of an ALT, so one can wait for a lock, a message and a timeout at the
   same time.

   Death. Whoever holds a lock, or tokens of a semaphore, and ends without releasing them, by
   returning, by poison, by uvcsp_kill(), or with its worker, gives them back; the next one gets them
   with UVCSP_OWNER_DIED, which says: it is yours, but what it protects may be half done. A process
   that dies while it waits is as if it had never waited.

   Objects are freed when the process that made them ends (main: when the program does), or by their
   _free functions, in the worker of that process. Who still waits then gets UVCSP_POISONED.

   All functions: -EINVAL with a line on stderr for NULL, for an object that was freed, for one
   of another kind, and for a time that is not a number. The _new functions: NULL with errno and a line when the shared arena is full
   (ENOMEM) or a number makes no sense (EINVAL). Acquiring and waiting are for processes; in a
   callback of the loop they abort with a line. */
#ifndef UVCSP_SYNC_H
#define UVCSP_SYNC_H

#include <uvcsp/alt.h>

typedef struct uvcsp_lock uvcsp_lock;
typedef struct uvcsp_rlock uvcsp_rlock;
typedef struct uvcsp_semaphore uvcsp_semaphore;
typedef struct uvcsp_condition uvcsp_condition;
typedef struct uvcsp_event uvcsp_event;
typedef struct uvcsp_barrier uvcsp_barrier;

/* ---- lock: held by one process ---- */

UVCSP_API uvcsp_lock *uvcsp_lock_new_at(const char *site);
#define uvcsp_lock_new() uvcsp_lock_new_at(UVCSP_HERE)
/* NULL is accepted, by all _free functions. */
UVCSP_API void uvcsp_lock_free(uvcsp_lock *lock);

/* Waits until the lock is free and takes it; also for one that the caller has already, since
   another process may release it. UVCSP_OK; UVCSP_OWNER_DIED, and it is held; UVCSP_TIMEOUT;
   UVCSP_POISONED: it was freed; -ENOMEM. */
UVCSP_API int uvcsp_lock_acquire(uvcsp_lock *lock, double seconds);
#define uvcsp_lock_acquire(...) UVCSP_CALL_(uvcsp_lock_acquire, __VA_ARGS__)
/* Releases it, whoever holds it. Does not block. 0; -EPERM with a line: it is not held. */
UVCSP_API int uvcsp_lock_release(uvcsp_lock *lock);

/* ---- rlock: one process may take it several times ---- */

UVCSP_API uvcsp_rlock *uvcsp_rlock_new_at(const char *site);
#define uvcsp_rlock_new() uvcsp_rlock_new_at(UVCSP_HERE)
UVCSP_API void uvcsp_rlock_free(uvcsp_rlock *lock);
/* As for a lock; at once where the caller holds it. */
UVCSP_API int uvcsp_rlock_acquire(uvcsp_rlock *lock, double seconds);
#define uvcsp_rlock_acquire(...) UVCSP_CALL_(uvcsp_rlock_acquire, __VA_ARGS__)
/* As many times as it was acquired. 0; -EPERM with a line: the caller does not hold it. */
UVCSP_API int uvcsp_rlock_release(uvcsp_rlock *lock);

/* Does the caller hold this lock or rlock, and has whoever had it before not released it? The way
   to ask after an ALT. */
UVCSP_API bool uvcsp_lock_after_death(void *lock);

/* ---- semaphore: a number of tokens ---- */

/* `value`: tokens at the start, 0 to 2^30. */
UVCSP_API uvcsp_semaphore *uvcsp_semaphore_new_at(int value, const char *site);
#define uvcsp_semaphore_new(value) uvcsp_semaphore_new_at((value), UVCSP_HERE)
/* One that never has more than at the start. */
UVCSP_API uvcsp_semaphore *uvcsp_bounded_semaphore_new_at(int value, const char *site);
#define uvcsp_bounded_semaphore_new(value) uvcsp_bounded_semaphore_new_at((value), UVCSP_HERE)
UVCSP_API void uvcsp_semaphore_free(uvcsp_semaphore *semaphore);
/* Takes a token; waits for one, first come first served. UVCSP_OK; UVCSP_OWNER_DIED: a token of one
   that died with it; UVCSP_TIMEOUT; UVCSP_POISONED: it was freed; -ENOMEM. */
UVCSP_API int uvcsp_semaphore_acquire(uvcsp_semaphore *semaphore, double seconds);
#define uvcsp_semaphore_acquire(...) UVCSP_CALL_(uvcsp_semaphore_acquire, __VA_ARGS__)
/* Gives a token back, or, where none is out, one more (a signal); any process may, also in a
   callback of the loop. Does not block. 0; -EOVERFLOW with a line: a bounded one has them all;
   -ENOMEM. Of the tokens that a dead process had taken those come back that there were at the
   start; signals do not. */
UVCSP_API int uvcsp_semaphore_release(uvcsp_semaphore *semaphore);
/* Tokens that can be had now. */
UVCSP_API int uvcsp_semaphore_value(uvcsp_semaphore *semaphore);

/* ---- condition: wait for a change of what a lock protects ---- */

/* `lock`: a uvcsp_lock or uvcsp_rlock, which must live as long; NULL: an rlock of its own. */
UVCSP_API uvcsp_condition *uvcsp_condition_new_at(void *lock, const char *site);
#define uvcsp_condition_new(lock) uvcsp_condition_new_at((lock), UVCSP_HERE)
UVCSP_API void uvcsp_condition_free(uvcsp_condition *condition);
/* Its lock, as uvcsp_lock_acquire() and uvcsp_lock_release(). */
UVCSP_API int uvcsp_condition_acquire(uvcsp_condition *condition, double seconds);
#define uvcsp_condition_acquire(...) UVCSP_CALL_(uvcsp_condition_acquire, __VA_ARGS__)
UVCSP_API int uvcsp_condition_release(uvcsp_condition *condition);
/* Releases the lock (an rlock altogether), waits to be notified, and takes the lock again, however
   long that takes. UVCSP_OK; UVCSP_TIMEOUT: not notified; UVCSP_OWNER_DIED: the lock was not
   released by its last holder. In all of these the lock is held. UVCSP_POISONED: it was freed.
   -EPERM with a line: the caller does not hold the lock. */
UVCSP_API int uvcsp_condition_wait(uvcsp_condition *condition, double seconds);
#define uvcsp_condition_wait(...) UVCSP_CALL_(uvcsp_condition_wait, __VA_ARGS__)
/* Waits until holds(arg), which is called with the lock held. As uvcsp_condition_wait(); UVCSP_OK:
 * it holds. */
UVCSP_API int uvcsp_condition_wait_for(uvcsp_condition *condition, bool (*holds)(void *), void *arg,
                                       double seconds);
#define uvcsp_condition_wait_for(...) UVCSP_CALL_(uvcsp_condition_wait_for, __VA_ARGS__)
/* Wakes up to `n` of those who wait, or all; they go on one by one when the lock is released. Does
   not block. 0; -EPERM with a line: the caller does not hold the lock. */
UVCSP_API int uvcsp_condition_notify(uvcsp_condition *condition, unsigned n);
UVCSP_API int uvcsp_condition_notify_all(uvcsp_condition *condition);

/* ---- event: set or not ---- */

UVCSP_API uvcsp_event *uvcsp_event_new_at(const char *site);
#define uvcsp_event_new() uvcsp_event_new_at(UVCSP_HERE)
UVCSP_API void uvcsp_event_free(uvcsp_event *event);
/* Sets it and wakes all who wait; it stays set until it is cleared. Neither blocks; both may be
   called in a callback of the loop. 0. */
UVCSP_API int uvcsp_event_set(uvcsp_event *event);
UVCSP_API int uvcsp_event_clear(uvcsp_event *event);
UVCSP_API bool uvcsp_event_is_set(uvcsp_event *event);
/* Waits until it is set. UVCSP_OK; UVCSP_TIMEOUT; UVCSP_POISONED: it was freed, and not set before. */
UVCSP_API int uvcsp_event_wait(uvcsp_event *event, double seconds);
#define uvcsp_event_wait(...) UVCSP_CALL_(uvcsp_event_wait, __VA_ARGS__)

/* ---- barrier: a number of parties wait for each other ---- */

/* `parties` from 1 to 2^20. The last to arrive in each round calls action(arg) (NULL: nothing),
   before the others go on; if it does not return 0, the barrier breaks, and its result is that of
   uvcsp_barrier_wait() there. */
UVCSP_API uvcsp_barrier *uvcsp_barrier_new_at(int parties, int (*action)(void *), void *arg,
                                              const char *site);
#define uvcsp_barrier_new(parties, action, arg)                                                    \
    uvcsp_barrier_new_at((parties), (action), (arg), UVCSP_HERE)
UVCSP_API void uvcsp_barrier_free(uvcsp_barrier *barrier);
/* Waits for the others of the round. `indexp`, unless NULL, gets the number by which the caller
   arrived, from 0 to parties - 1, another for each. UVCSP_OK; UVCSP_BROKEN: one of them has given
   up (its time was over, it was killed while it waited), the worker of one who has ever waited here
   has died, or the barrier was aborted or reset; UVCSP_TIMEOUT: it was the caller that gave up;
   UVCSP_POISONED: it was freed; what the action returned. Once broken it stays so. */
UVCSP_API int uvcsp_barrier_wait(uvcsp_barrier *barrier, double seconds, int *indexp);
#define uvcsp_barrier_wait(...) UVCSP_CALL_(uvcsp_barrier_wait, __VA_ARGS__)
/* Breaks it; breaks the round that waits and mends it for the next. 0. */
UVCSP_API int uvcsp_barrier_abort(uvcsp_barrier *barrier);
UVCSP_API int uvcsp_barrier_reset(uvcsp_barrier *barrier);
UVCSP_API bool uvcsp_barrier_broken(uvcsp_barrier *barrier);
UVCSP_API int uvcsp_barrier_n_waiting(uvcsp_barrier *barrier);
UVCSP_API int uvcsp_barrier_parties(uvcsp_barrier *barrier);

/* ---- guards ---- */

/* The guard that was taken has the lock, or a token; an event stays set. A guard is the calling
   process's own. An rlock that the process holds already is ready at once. An object that is
   freed while a choice waits for it ends the process by poison; an event is taken for set. NULL or
   a freed object: a line, and the ALT says -EINVAL. */
UVCSP_API uvcsp_guard uvcsp_on_lock(uvcsp_lock *lock);
UVCSP_API uvcsp_guard uvcsp_on_rlock(uvcsp_rlock *lock);
UVCSP_API uvcsp_guard uvcsp_on_semaphore(uvcsp_semaphore *semaphore);
UVCSP_API uvcsp_guard uvcsp_on_event(uvcsp_event *event);
#define UVCSP_ON_LOCK(lock) uvcsp_on_lock(lock)
#define UVCSP_ON_RLOCK(lock) uvcsp_on_rlock(lock)
#define UVCSP_ON_SEMAPHORE(semaphore) uvcsp_on_semaphore(semaphore)
#define UVCSP_ON_EVENT(event) uvcsp_on_event(event)

#endif
