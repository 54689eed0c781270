#include "tests/stress/commons.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uvcsp/ipc.h>

#include "runtime/arena.h"
#include "tests/fixture.h"
#include "tests/stress/ledger.h"
#include "tests/stress/stress.h"

#define IDS (1 << 16)
#define ROOM 16  /* of the queue */
#define TOKENS 3 /* of the semaphore */

enum doing { NOTHING, PUT, GET, LOCK, VALUE, SEMAPHORE, APPEND, FAR_LOCK, USES };
static const char *const doing_names[] = {
    "traffic",      "put into the queue", "get from the queue", "lock",
    "locked value", "semaphore",          "append to the list", "lock of the manager",
};

/* What is protected by a lock, and how often that was told afterwards. */
struct guarded {
    long value;
    int holder; /* 1 while somebody is inside */
    _Atomic long told;
};

static struct commons {
    _Atomic unsigned n_ids;
    _Atomic unsigned char put[IDS], got[IDS], put_by_killed[IDS];
    _Atomic unsigned char appended[IDS], appended_by_killed[IDS];
    struct guarded by_lock, by_value;
    _Atomic bool wrong; /* somebody has said so on stderr */
    struct {
        _Atomic int doing;
        _Atomic unsigned id;
        _Atomic bool inside;
    } of[MAX_PROCESSES];
} * commons;

static QUEUE(unsigned) queue;
static uvcsp_lock *lock;
static long *value;
static uvcsp_semaphore *semaphore;
static uvcsp_manager *manager;
static uvcsp_proxy list, far_lock;
static bool manager_lives;
static int server, descriptors;
static size_t texts; /* in the arena, after commons_open() */
static unsigned killed_getters, killed_in_lock, killed_in_value;

static struct {
    unsigned long items, items_lost, sections, inside, appended, servers;
} sums;

static void wrong(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, uvcsp_status_name(rc));
    atomic_store(&commons->wrong, true);
}

/* ---- uses ---- */

static bool next_id(unsigned me, unsigned *idp)
{
    *idp = atomic_fetch_add(&commons->n_ids, 1);
    atomic_store(&commons->of[me].id, *idp);
    return *idp < IDS;
}

static void put(unsigned me, unsigned long long *random)
{
    unsigned id;
    if (!next_id(me, &id))
        return;
    atomic_store(&commons->of[me].doing, PUT);
    int rc = uvcsp_qput(queue, &id, stress_below(random, 3) * 1e-3);
    if (rc == UVCSP_OK)
        atomic_fetch_add(&commons->put[id], 1);
    else if (rc != UVCSP_TIMEOUT && rc != UVCSP_WOULD_BLOCK)
        wrong("a put", rc);
}

static void get(unsigned me, unsigned long long *random)
{
    unsigned id;
    atomic_store(&commons->of[me].doing, GET);
    int rc = uvcsp_qget(queue, &id, stress_below(random, 3) * 1e-3);
    if (rc == UVCSP_OK && id < IDS)
        atomic_fetch_add(&commons->got[id], 1);
    else if (rc != UVCSP_TIMEOUT && rc != UVCSP_WOULD_BLOCK)
        wrong("a get", rc);
}

/* In the section. Whoever comes in finds nobody there, but for one that died inside. */
static void section(unsigned me, struct guarded *guarded, int rc, unsigned long long *random)
{
    if (rc == UVCSP_OK && guarded->holder)
        wrong("two are in one section", rc);
    guarded->holder = 1;
    atomic_store(&commons->of[me].inside, true);
    if (stress_below(random, 3) == 0)
        uvcsp_yield();
    if (stress_below(random, 10) == 0)
        uvcsp_sleep(0.0005);
    guarded->value++;
    atomic_fetch_add(&guarded->told, 1);
    atomic_store(&commons->of[me].inside, false);
    guarded->holder = 0;
}

static bool is_held(int rc, const char *what)
{
    if (rc == UVCSP_OK || rc == UVCSP_OWNER_DIED)
        return true;
    wrong(what, rc);
    return false;
}

static void use_lock(unsigned me, unsigned long long *random)
{
    atomic_store(&commons->of[me].doing, LOCK);
    int rc = uvcsp_lock_acquire(lock, -1);
    if (!is_held(rc, "a lock"))
        return;
    section(me, &commons->by_lock, rc, random);
    if ((rc = uvcsp_lock_release(lock)) != 0)
        wrong("a release", rc);
}

static void use_value(unsigned me, unsigned long long *random)
{
    atomic_store(&commons->of[me].doing, VALUE);
    int rc = uvcsp_shared_lock(value, -1);
    if (!is_held(rc, "a locked value"))
        return;
    section(me, &commons->by_value, rc, random);
    if ((rc = uvcsp_shared_unlock(value)) != 0)
        wrong("an unlock", rc);
}

static void use_semaphore(unsigned me, unsigned long long *random)
{
    atomic_store(&commons->of[me].doing, SEMAPHORE);
    if (!is_held(uvcsp_semaphore_acquire(semaphore, -1), "a semaphore"))
        return;
    if (stress_below(random, 3) == 0)
        uvcsp_sleep(0.0005);
    int rc = uvcsp_semaphore_release(semaphore);
    if (rc != 0)
        wrong("a release of a semaphore", rc);
}

/* A manager that was killed says so; then it is of no use any more. */
static bool served(int rc, const char *what)
{
    if (rc != 0 && rc != UVCSP_OWNER_DIED && rc != UVCSP_POISONED && rc != UVCSP_RETIRED) {
        fprintf(stderr, "%s: %s: %s\n", what, uvcsp_manager_error_name(rc), uvcsp_call_error());
        atomic_store(&commons->wrong, true);
    }
    return rc == 0 || rc == UVCSP_OWNER_DIED;
}

static void append(unsigned me)
{
    unsigned id;
    if (!next_id(me, &id))
        return;
    atomic_store(&commons->of[me].doing, APPEND);
    if (served(uvcsp_mlist_append(list, json_integer(id)), "an append"))
        atomic_fetch_add(&commons->appended[id], 1);
}

static void use_far_lock(unsigned me, unsigned long long *random)
{
    atomic_store(&commons->of[me].doing, FAR_LOCK);
    if (!served(uvcsp_mlock_acquire(far_lock, -1), "a lock of the manager"))
        return;
    if (stress_below(random, 3) == 0)
        uvcsp_sleep(0.0005);
    (void)served(uvcsp_mlock_release(far_lock), "a release at the manager");
}

void commons_use(unsigned me, unsigned long long *random)
{
    atomic_fetch_add(&ledger->of[me].steps, 1);
    switch (1 + stress_below(random, USES - 1)) {
    case PUT:
        put(me, random);
        break;
    case GET:
        get(me, random);
        break;
    case LOCK:
        use_lock(me, random);
        break;
    case VALUE:
        use_value(me, random);
        break;
    case SEMAPHORE:
        use_semaphore(me, random);
        break;
    case APPEND:
        append(me);
        break;
    default:
        use_far_lock(me, random);
    }
    atomic_store(&commons->of[me].doing, NOTHING);
    atomic_fetch_add(&ledger->of[me].steps, 1);
}

/* ---- the root ---- */

int commons_descriptors(void)
{
    return descriptors;
}

int commons_children(void)
{
    int pid, n = 0;
    FILE *file = fopen("/proc/thread-self/children", "re");
    if (!file)
        return 0;
    while (fscanf(file, "%d", &pid) == 1)
        n += !manager_lives || pid != server;
    fclose(file);
    return n;
}

bool commons_is_alive(int pid)
{
    return pid > 0 && kill(pid, 0) == 0;
}

const char *commons_doing(unsigned p)
{
    return doing_names[atomic_load(&commons->of[p].doing)];
}

bool commons_open(void)
{
    if (!commons)
        commons = stress_shared(sizeof *commons);
    memset(commons, 0, sizeof *commons);
    killed_getters = killed_in_lock = killed_in_value = 0;
    queue = QUEUE_NEW(unsigned, ROOM);
    lock = uvcsp_lock_new();
    value = SHARED_VALUE(long, 0);
    semaphore = uvcsp_semaphore_new(TOKENS);
    manager = uvcsp_manager_start(NULL);
    if (!queue || !lock || !value || !semaphore || !manager)
        return false;
    manager_lives = true;
    server = uvcsp_manager_pid(manager);
    list = uvcsp_manager_list(manager, NULL);
    far_lock = uvcsp_manager_lock(manager);
    descriptors = house_count_descriptors();
    texts = usp_arena_count(USP_BLOCK_TEXT);
    return list.id && far_lock.id;
}

bool commons_strike(unsigned long long *random)
{
    if (!manager_lives || stress_below(random, 40) != 0)
        return true;
    manager_lives = false;
    sums.servers++;
    return kill(server, SIGKILL) == 0;
}

bool commons_round_over(void)
{
    for (unsigned p = 0; p < MAX_PROCESSES; p++) {
        unsigned id = atomic_load(&commons->of[p].id);
        int doing = atomic_load(&commons->of[p].doing); /* NOTHING, but where it was killed, or terminated, in it */
        bool inside = atomic_load(&commons->of[p].inside);
        if (doing == PUT)
            atomic_store(&commons->put_by_killed[id], 1);
        if (doing == APPEND)
            atomic_store(&commons->appended_by_killed[id], 1);
        killed_getters += doing == GET;
        killed_in_lock += doing == LOCK && inside;
        killed_in_value += doing == VALUE && inside;
    }
    memset(commons->of, 0, sizeof commons->of);
    return !atomic_load(&commons->wrong);
}

static bool queue_balances(void)
{
    unsigned id, lost = 0, n = atomic_load(&commons->n_ids);
    bool good = true;
    uvcsp_queue_close(queue);
    while (uvcsp_qget(queue, &id, 0) == UVCSP_OK)
        atomic_fetch_add(&commons->got[id], 1);
    for (id = 0; id < IDS && id < n; id++) {
        unsigned in = atomic_load(&commons->put[id]), out = atomic_load(&commons->got[id]);
        sums.items += out;
        lost += in && !out;
        if (out > 1 || (out && !in && !atomic_load(&commons->put_by_killed[id]))) {
            fprintf(stderr, "item %u: put %u times, got %u times\n", id, in, out);
            good = false;
        }
    }
    sums.items_lost += lost;
    if (lost > killed_getters) {
        fprintf(stderr, "%u items lost, %u getters killed\n", lost, killed_getters);
        good = false;
    }
    return good;
}

/* The section was passed as often as it was told, but for those who were killed in it. */
static bool section_balances(const struct guarded *guarded, unsigned killed, const char *what)
{
    long cut = guarded->value - atomic_load(&guarded->told);
    sums.sections += (unsigned long)guarded->value;
    sums.inside += killed;
    if (cut >= 0 && cut <= (long)killed)
        return true;
    fprintf(stderr, "%s: %ld times in, %ld told, %u killed inside\n", what, guarded->value,
            atomic_load(&guarded->told), killed);
    return false;
}

static bool locks_are_free(void)
{
    int rc = uvcsp_lock_acquire(lock, 1), rc2 = uvcsp_shared_lock(value, 1);
    if (rc == UVCSP_OK || rc == UVCSP_OWNER_DIED)
        rc = uvcsp_lock_release(lock);
    if (rc2 == UVCSP_OK || rc2 == UVCSP_OWNER_DIED)
        rc2 = uvcsp_shared_unlock(value);
    int tokens = uvcsp_semaphore_value(semaphore);
    if (rc == 0 && rc2 == 0 && tokens == TOKENS)
        return true;
    fprintf(stderr, "after all have ended: lock %s, value %s, %d tokens\n", uvcsp_status_name(rc),
            uvcsp_status_name(rc2), tokens);
    return false;
}

static bool list_balances(void)
{
    static unsigned char there[IDS];
    json_t *copy = NULL, *element;
    size_t i;
    bool good = true;
    int rc = uvcsp_call(list, "copy", NULL, &copy);
    if (rc != 0) {
        served(rc, "the list");
        return false;
    }
    memset(there, 0, sizeof there);
    json_array_foreach(copy, i, element) there[(unsigned)json_integer_value(element) % IDS]++;
    json_decref(copy);
    for (unsigned id = 0; id < IDS; id++) {
        unsigned told = atomic_load(&commons->appended[id]);
        sums.appended += told;
        if (there[id] == told || (there[id] == 1 && atomic_load(&commons->appended_by_killed[id])))
            continue;
        fprintf(stderr, "element %u: appended %u times, there %u times\n", id, told, there[id]);
        good = false;
    }
    return good;
}

size_t commons_blocks_that_stay(void)
{
    return 2 + (usp_arena_count(USP_BLOCK_TEXT) > texts); /* the manager and its channel, and the cause, if it was killed */
}

bool commons_close(void)
{
    bool good = queue_balances() && locks_are_free() &&
                section_balances(&commons->by_lock, killed_in_lock, "lock") &&
                section_balances(&commons->by_value, killed_in_value, "value") &&
                (!manager_lives || list_balances());
    uvcsp_manager_stop(manager);
    manager_lives = false;
    uvcsp_semaphore_free(semaphore);
    uvcsp_shared_free(value);
    uvcsp_lock_free(lock);
    uvcsp_queue_free(queue);
    return good;
}

void commons_print(void)
{
    printf("%lu items of queues, %lu of them went with a getter; %lu sections, %lu killed inside; "
           "%lu elements of lists; %lu servers killed\n",
           sums.items, sums.items_lost, sums.sections, sums.inside, sums.appended, sums.servers);
}
