/* event and barrier. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"

struct event {
    struct usp_object object;
    bool set;
};

static void wake_all(struct usp_object *object, bool broken)
{
    for (struct usp_waiter *waiter; (waiter = object->waiters);) {
        waiter->broken = broken;
        usp_grant(waiter);
    }
}

static int event_create(struct usp_object *object, struct usp_request *request)
{
    (void)object, (void)request;
    return 0;
}

static int event_set(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    ((struct event *)object)->set = true;
    wake_all(object, false);
    return 0;
}

static int event_clear(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    ((struct event *)object)->set = false;
    return 0;
}

static int event_is_set(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(((struct event *)object)->set));
}

static int event_wait(struct usp_object *object, struct usp_request *request)
{
    double seconds;
    struct usp_waiter waiter = {0};
    int rc = usp_arg_timeout(request, 0, &seconds);
    return rc || ((struct event *)object)->set ? rc : usp_wait_in(object, request, 0, seconds, &waiter);
}

static const struct usp_op event_ops[] = {
    {"set", event_set, 0, 0}, {"clear", event_clear, 0, 0}, {"is_set", event_is_set, 0, 0}, {"wait", event_wait, 0, 1},
    {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_event = {"event", sizeof(struct event), event_create, NULL, NULL, event_ops, NULL};

/* ---- barrier ---- */

struct party {
    struct party *next;
    const struct usp_session *session;
    bool waits;
};

struct barrier {
    struct usp_object object;
    json_int_t parties;
    bool broken;
    struct party *known; /* who has ever waited at it */
    char cause[200];     /* why it is broken */
};

static struct barrier *barrier_of(struct usp_object *object)
{
    return (struct barrier *)object;
}

static int barrier_create(struct usp_object *object, struct usp_request *request)
{
    struct barrier *barrier = barrier_of(object);
    int rc = usp_arg_integer(request, 0, &barrier->parties);
    if (rc == 0 && barrier->parties < 1)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "a barrier needs one party or more");
    return rc;
}

static void barrier_destroy(struct usp_object *object)
{
    struct barrier *barrier = barrier_of(object);
    for (struct party *party; (party = barrier->known);) {
        barrier->known = party->next;
        free(party);
    }
}

static void break_it(struct barrier *barrier, const char *cause)
{
    if (barrier->broken)
        return;
    barrier->broken = true;
    strncpy(barrier->cause, cause, sizeof barrier->cause - 1);
    wake_all(&barrier->object, true);
}

static int is_broken(const struct barrier *barrier, struct usp_request *request)
{
    return usp_fail(request, UVCSP_BROKEN_BARRIER, "%s", barrier->cause[0] ? barrier->cause : "the barrier was reset");
}

static struct party *party_of(struct barrier *barrier, const struct usp_session *session)
{
    for (struct party *party = barrier->known; party; party = party->next)
        if (party->session == session)
            return party;
    struct party *party = calloc(1, sizeof *party);
    if (!party)
        return NULL;
    *party = (struct party){barrier->known, session, false};
    return barrier->known = party;
}

static int barrier_wait(struct usp_object *object, struct usp_request *request)
{
    struct barrier *barrier = barrier_of(object);
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    struct party *party = rc ? NULL : party_of(barrier, request->session);
    if (!party)
        return rc ? rc : -ENOMEM;
    if (barrier->broken)
        return is_broken(barrier, request);
    json_int_t place = (json_int_t)usp_count_waiters(object, 0);
    if (place + 1 == barrier->parties) {
        wake_all(object, false);
        return usp_give(request, json_integer(place));
    }
    struct usp_waiter waiter = {0};
    party->waits = true;
    rc = usp_wait_in(object, request, 0, seconds, &waiter);
    party->waits = rc == USP_CLIENT_GONE && !waiter.granted; /* then barrier_left() breaks it, and says why */
    if (rc == 0)
        return waiter.broken ? is_broken(barrier, request) : usp_give(request, json_integer(place));
    if (!object->freed && rc != USP_CLIENT_GONE)
        break_it(barrier, "a process has given up waiting");
    return rc;
}

static int barrier_reset(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    struct barrier *barrier = barrier_of(object);
    barrier->cause[0] = '\0';
    barrier->broken = false;
    wake_all(object, true);
    return 0;
}

static int barrier_abort(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    break_it(barrier_of(object), "the barrier was aborted");
    return 0;
}

static int barrier_parties(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer(barrier_of(object)->parties));
}

static int barrier_waiting(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer((json_int_t)usp_count_waiters(object, 0)));
}

static int barrier_broken(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(barrier_of(object)->broken));
}

/* One that has ended well has done its part; one that has died will be missed. */
static void barrier_left(struct usp_object *object, struct usp_session *session, bool died, const char *cause)
{
    struct barrier *barrier = barrier_of(object);
    for (struct party **at = &barrier->known; *at; at = &(*at)->next) {
        if ((*at)->session != session)
            continue;
        struct party *party = *at;
        bool missed = died || party->waits;
        *at = party->next;
        free(party);
        if (missed)
            break_it(barrier, cause);
        return;
    }
}

static const struct usp_op barrier_ops[] = {
    {"wait", barrier_wait, 0, 1}, {"reset", barrier_reset, 0, 0}, {"abort", barrier_abort, 0, 0},
    {"parties", barrier_parties, 0, 0}, {"n_waiting", barrier_waiting, 0, 0}, {"broken", barrier_broken, 0, 0},
    {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_barrier = {"barrier", sizeof(struct barrier), barrier_create, barrier_destroy,
                                                 barrier_left, barrier_ops, NULL};
