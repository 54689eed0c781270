/* Operations that wait. A waiter stands in its object's list until somebody grants it what it waits for, its event is set, its time is
   over, its client goes, or the object is freed. Whoever grants takes it out of the list and puts a byte in its session's channel; it then runs,
   later, and finds what it was granted. */
#include <errno.h>
#include <stdlib.h>

#include "ipc/manager.h"

static void enqueue(struct usp_waiter *waiter)
{
    struct usp_waiter **head = &waiter->object->waiters, *last = *head ? (*head)->prev : NULL;
    waiter->next = NULL;
    waiter->prev = last ? last : waiter; /* the first knows the last */
    if (last) {
        last->next = waiter;
        (*head)->prev = waiter;
    } else {
        *head = waiter;
    }
    waiter->queued = true;
}

static void dequeue(struct usp_waiter *waiter)
{
    struct usp_waiter **head = &waiter->object->waiters;
    if (*head == waiter) {
        *head = waiter->next;
        if (*head)
            (*head)->prev = waiter->prev;
    } else {
        waiter->prev->next = waiter->next;
        if (waiter->next)
            waiter->next->prev = waiter->prev;
        else
            (*head)->prev = waiter->prev;
    }
    waiter->queued = false;
}

static void wake(struct usp_waiter *waiter)
{
    dequeue(waiter);
    (void)uvcsp_write_try((UVCSP_OUT_END(char))waiter->session->wake_out, &(char){0});
}

void usp_grant(struct usp_waiter *waiter)
{
    waiter->granted = true;
    wake(waiter);
}

void usp_object_drop_waiters(struct usp_object *object)
{
    while (object->waiters) {
        object->waiters->freed = true;
        wake(object->waiters);
    }
}

struct usp_waiter *usp_first_waiter(struct usp_object *object, int what)
{
    for (struct usp_waiter *waiter = object->waiters; waiter; waiter = waiter->next)
        if (waiter->what == what)
            return waiter;
    return NULL;
}

size_t usp_count_waiters(const struct usp_object *object, int what)
{
    size_t n = 0;
    for (const struct usp_waiter *waiter = object->waiters; waiter; waiter = waiter->next)
        n += waiter->what == what;
    return n;
}

/* The ends are the process's of the session, and go with it. */
int usp_session_waker(struct usp_session *session)
{
    if (session->wake_in)
        return 0;
    UVCSP_CHAN(char) channel = UVCSP_CHANNEL(char, .capacity = 1, .name = "wake");
    if (!channel)
        return -ENOMEM;
    session->wake_in = UVCSP_IN_OF(channel);
    session->wake_out = UVCSP_OUT_OF(channel);
    uvcsp_channel_free(channel);
    return session->wake_in && session->wake_out ? 0 : -ENOMEM;
}

/* Until the waiter was taken out of its list. Anything from the client is its end: it has a request out, and sends no other. */
static int park(struct usp_waiter *waiter, double deadline)
{
    struct usp_session *session = waiter->session;
    char nothing;
    uvcsp_guard guards[] = {
        UVCSP_ON_READ((UVCSP_IN_END(char))session->wake_in, &nothing),
        session->conn ? UVCSP_ON_CONN(session->conn)
                      : UVCSP_ON_READ((UVCSP_IN_END(struct usp_cell))session->line.in, session->line.cell),
        UVCSP_WHEN(deadline >= 0, UVCSP_ON_TIMEOUT(0)),
        {.kind = UVCSP_GUARD_READ, .on = session->stop != NULL, .subject = session->stop, .data = &nothing},
        {.kind = UVCSP_GUARD_ENDED, .on = waiter->event != NULL, .subject = waiter->event},
    };
    while (waiter->queued) {
        guards[2].seconds = deadline - uvcsp_now();
        int which = uvcsp_alt_at(guards, 5, UVCSP_PRI, "manager");
        if (which == 4)
            return 0;
        if (which == 2)
            return UVCSP_TIMEOUT;
        if (which != 0)
            return USP_CLIENT_GONE;
    }
    return 0;
}

int usp_wait_in(struct usp_object *object, struct usp_request *request, int what, double seconds,
                struct usp_waiter *waiter)
{
    struct usp_session *session = request->session;
    if (object->freed)
        return usp_fail(request, UVCSP_NO_SUCH_OBJECT, "the object was freed");
    if (seconds == 0)
        return usp_fail(request, UVCSP_WOULD_BLOCK, "it would have to wait");
    int rc = usp_session_waker(session);
    if (rc)
        return rc;
    waiter->session = session;
    waiter->object = object;
    waiter->what = what;
    enqueue(waiter);
    rc = park(waiter, seconds < 0 ? -1 : uvcsp_now() + seconds);
    if (waiter->queued) {
        dequeue(waiter);
    } else if (rc != 0) { /* it was taken out before it saw why it woke */
        char left;
        (void)uvcsp_read_try((UVCSP_IN_END(char))session->wake_in, &left);
        rc = rc == USP_CLIENT_GONE ? rc : 0;
    }
    if (waiter->freed && rc == 0)
        rc = usp_fail(request, UVCSP_NO_SUCH_OBJECT, "the object was freed");
    else if (rc == UVCSP_TIMEOUT)
        (void)usp_fail(request, rc, "the time is over");
    return rc;
}
