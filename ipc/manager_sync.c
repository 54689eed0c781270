/* lock, rlock, condition; semaphores; event; barrier.

   What is released goes to the first that waits for it, by whoever releases it: nobody can slip in between. When a session ends,
   every object here is told (`left`) and takes back what the session's client held; the next to get it is told how the client ended. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"

static int timeout_then(struct usp_object *object, struct usp_request *request, int what, struct usp_waiter *waiter)
{
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    return rc ? rc : usp_wait_in(object, request, what, seconds, waiter);
}

/* ---- locks ---- */

enum { FOR_LOCK = 1, FOR_NOTICE };

struct lock {
    struct usp_object object;
    struct usp_session *holder;
    long depth;
    bool recursive;
    char *cause; /* how the last holder ended with it; for the next */
};

static struct lock *lock_of(struct usp_object *object)
{
    return (struct lock *)object;
}

static int lock_create(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    lock_of(object)->recursive = object->type != &usp_type_lock;
    return 0;
}

static void lock_destroy(struct usp_object *object)
{
    free(lock_of(object)->cause);
}

static void hand_on(struct lock *lock)
{
    struct usp_waiter *waiter = usp_first_waiter(&lock->object, FOR_LOCK);
    lock->holder = waiter ? waiter->session : NULL;
    lock->depth = waiter ? 1 : 0;
    if (waiter)
        usp_grant(waiter);
}

/* It has just been taken. */
static int taken(struct lock *lock, struct usp_request *request)
{
    if (!lock->cause)
        return 0;
    int rc = usp_fail(request, UVCSP_OWNER_DIED, "%s", lock->cause);
    free(lock->cause);
    lock->cause = NULL;
    return rc;
}

static int lock_take(struct lock *lock, struct usp_request *request, double seconds)
{
    if (lock->recursive && lock->holder == request->session) {
        lock->depth++;
        return 0;
    }
    if (!lock->holder) {
        lock->holder = request->session;
        lock->depth = 1;
        return taken(lock, request);
    }
    struct usp_waiter waiter = {0};
    int rc = usp_wait_in(&lock->object, request, FOR_LOCK, seconds, &waiter);
    return rc ? rc : taken(lock, request); /* a client that went meanwhile: lock_left() gives it on */
}

static int lock_acquire(struct usp_object *object, struct usp_request *request)
{
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    return rc ? rc : lock_take(lock_of(object), request, seconds);
}

static int check_held(const struct lock *lock, struct usp_request *request)
{
    if (!lock->holder)
        return usp_fail(request, UVCSP_RUNTIME_ERROR, "the lock is not held");
    if (lock->recursive && lock->holder != request->session)
        return usp_fail(request, UVCSP_RUNTIME_ERROR, "the lock is held by another process");
    return 0;
}

static int lock_release(struct usp_object *object, struct usp_request *request)
{
    struct lock *lock = lock_of(object);
    int rc = check_held(lock, request);
    if (rc == 0 && --lock->depth == 0)
        hand_on(lock);
    return rc;
}

static int lock_locked(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(lock_of(object)->holder != NULL));
}

static void lock_left(struct usp_object *object, struct usp_session *session, bool died, const char *cause)
{
    (void)died;
    struct lock *lock = lock_of(object);
    if (lock->holder != session)
        return;
    free(lock->cause);
    lock->cause = strdup(cause);
    hand_on(lock);
}

static const struct usp_op lock_ops[] = {
    {"acquire", lock_acquire, 0, 1}, {"release", lock_release, 0, 0}, {"locked", lock_locked, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_lock = {"lock", sizeof(struct lock), lock_create, lock_destroy, lock_left, lock_ops, NULL};
const struct usp_object_type usp_type_rlock = {"rlock", sizeof(struct lock), lock_create, lock_destroy, lock_left, lock_ops, NULL};

/* ---- condition: an rlock at which some wait for a notice ---- */

static int condition_wait(struct usp_object *object, struct usp_request *request)
{
    struct lock *lock = lock_of(object);
    double seconds;
    int rc = check_held(lock, request);
    if (rc == 0)
        rc = usp_arg_timeout(request, 0, &seconds);
    if (rc)
        return rc;
    long depth = lock->depth;
    hand_on(lock);
    struct usp_waiter waiter = {0};
    int waited = usp_wait_in(object, request, FOR_NOTICE, seconds, &waiter);
    if (waited == USP_CLIENT_GONE || waited == UVCSP_NO_SUCH_OBJECT) {
        if (waiter.granted && !object->freed && (object->waiters)) {
            struct usp_waiter *next = usp_first_waiter(object, FOR_NOTICE);
            if (next)
                usp_grant(next); /* the notice was for a client that is gone */
        }
        return waited;
    }
    rc = lock_take(lock, request, -1);
    if (rc < 0)
        return rc;
    lock->depth = depth;
    return waited ? waited : rc;
}

static void notify_some(struct usp_object *object, json_int_t n)
{
    struct usp_waiter *waiter;
    while (n-- > 0 && (waiter = usp_first_waiter(object, FOR_NOTICE)))
        usp_grant(waiter);
}

static int condition_notify(struct usp_object *object, struct usp_request *request)
{
    json_int_t n = 1;
    int rc = check_held(lock_of(object), request);
    if (rc == 0 && request->n > 0)
        rc = usp_arg_integer(request, 0, &n);
    if (rc == 0)
        notify_some(object, n);
    return rc;
}

static int condition_notify_all(struct usp_object *object, struct usp_request *request)
{
    int rc = check_held(lock_of(object), request);
    if (rc == 0)
        notify_some(object, INT64_MAX);
    return rc;
}

static const struct usp_op condition_ops[] = {
    {"acquire", lock_acquire, 0, 1}, {"release", lock_release, 0, 0}, {"locked", lock_locked, 0, 0},
    {"wait", condition_wait, 0, 1}, {"notify", condition_notify, 0, 1}, {"notify_all", condition_notify_all, 0, 0},
    {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_condition = {"condition", sizeof(struct lock), lock_create, lock_destroy,
                                                   lock_left, condition_ops, NULL};

/* ---- semaphores ---- */

struct share {
    struct share *next;
    const struct usp_session *session;
    json_int_t n;
};

struct semaphore {
    struct usp_object object;
    json_int_t value, bound; /* -1: none */
    struct share *shares;    /* of a bounded one: who has how many */
    json_int_t returned;     /* that have come back from the dead, and nobody has been told of */
    char *cause;
};

static struct semaphore *semaphore_of(struct usp_object *object)
{
    return (struct semaphore *)object;
}

static int semaphore_create(struct usp_object *object, struct usp_request *request)
{
    struct semaphore *semaphore = semaphore_of(object);
    semaphore->value = 1;
    int rc = request->n > 0 ? usp_arg_integer(request, 0, &semaphore->value) : 0;
    if (rc == 0 && semaphore->value < 0)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "a semaphore begins with 0 or more");
    semaphore->bound = object->type == &usp_type_bounded_semaphore ? semaphore->value : -1;
    return rc;
}

static void semaphore_destroy(struct usp_object *object)
{
    struct semaphore *semaphore = semaphore_of(object);
    for (struct share *share; (share = semaphore->shares);) {
        semaphore->shares = share->next;
        free(share);
    }
    free(semaphore->cause);
}

static struct share **find_share(struct semaphore *semaphore, const struct usp_session *session)
{
    struct share **at = &semaphore->shares;
    while (*at && (*at)->session != session)
        at = &(*at)->next;
    return at;
}

/* The share has to be there before it counts. */
static int need_share(struct semaphore *semaphore, const struct usp_session *session)
{
    struct share **at = find_share(semaphore, session);
    if (semaphore->bound < 0 || *at)
        return 0;
    *at = calloc(1, sizeof **at);
    if (!*at)
        return -ENOMEM;
    (*at)->session = session;
    return 0;
}

static int took_one(struct semaphore *semaphore, struct usp_request *request)
{
    struct share *share = *find_share(semaphore, request->session);
    if (share)
        share->n++;
    if (semaphore->returned == 0)
        return 0;
    semaphore->returned--;
    return usp_fail(request, UVCSP_OWNER_DIED, "%s", semaphore->cause ? semaphore->cause : "its process has ended");
}

static void serve_semaphore(struct semaphore *semaphore)
{
    struct usp_waiter *waiter;
    while (semaphore->value > 0 && (waiter = usp_first_waiter(&semaphore->object, 0))) {
        semaphore->value--;
        usp_grant(waiter);
    }
}

static int semaphore_acquire(struct usp_object *object, struct usp_request *request)
{
    struct semaphore *semaphore = semaphore_of(object);
    int rc = need_share(semaphore, request->session);
    if (rc)
        return rc;
    if (semaphore->value > 0) {
        semaphore->value--;
        return took_one(semaphore, request);
    }
    struct usp_waiter waiter = {0};
    rc = timeout_then(object, request, 0, &waiter);
    if (rc == 0)
        return took_one(semaphore, request);
    if (waiter.granted && !object->freed) {
        semaphore->value++; /* it was for a client that is gone */
        serve_semaphore(semaphore);
    }
    return rc;
}

static int semaphore_release(struct usp_object *object, struct usp_request *request)
{
    struct semaphore *semaphore = semaphore_of(object);
    json_int_t n = 1, value;
    int rc = request->n > 0 ? usp_arg_integer(request, 0, &n) : 0;
    if (rc)
        return rc;
    if (n < 1 || __builtin_add_overflow(semaphore->value, n, &value))
        return usp_fail(request, UVCSP_VALUE_ERROR, "it cannot be released %lld times", (long long)n);
    if (semaphore->bound >= 0 && value > semaphore->bound)
        return usp_fail(request, UVCSP_VALUE_ERROR, "released above its bound of %lld", (long long)semaphore->bound);
    struct share *share = *find_share(semaphore, request->session);
    if (share)
        share->n = share->n > n ? share->n - n : 0;
    semaphore->value = value;
    serve_semaphore(semaphore);
    return 0;
}

static int semaphore_value(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer(semaphore_of(object)->value));
}

static void semaphore_left(struct usp_object *object, struct usp_session *session, bool died, const char *cause)
{
    (void)died;
    struct semaphore *semaphore = semaphore_of(object);
    struct share **at = find_share(semaphore, session), *share = *at;
    if (!share)
        return;
    *at = share->next;
    json_int_t room = semaphore->bound - semaphore->value, n = share->n < room ? share->n : room;
    free(share);
    if (n <= 0)
        return;
    free(semaphore->cause);
    semaphore->cause = strdup(cause);
    semaphore->returned += n;
    semaphore->value += n;
    serve_semaphore(semaphore);
}

static const struct usp_op semaphore_ops[] = {{"acquire", semaphore_acquire, 0, 1},
                                              {"release", semaphore_release, 0, 1},
                                              {"value", semaphore_value, 0, 0},
                                              {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_semaphore = {"semaphore", sizeof(struct semaphore), semaphore_create,
                                                   semaphore_destroy, NULL, semaphore_ops, NULL};
const struct usp_object_type usp_type_bounded_semaphore = {"bounded_semaphore", sizeof(struct semaphore),
                                                           semaphore_create, semaphore_destroy, semaphore_left,
                                                           semaphore_ops, NULL};
