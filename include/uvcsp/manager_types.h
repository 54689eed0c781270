/* The types of objects that a manager knows, and their operations: each is a line over uvcsp_call(), with the rules of
   <uvcsp/manager.h> for references and errors. Their generic names are those in quotes, after Python's.

   An empty proxy (manager NULL) is what a maker gives when it fails; uvcsp_call_error() says why. A timeout is in seconds: negative for ever, 0 not at
   all (then UVCSP_WOULD_BLOCK, not UVCSP_TIMEOUT). Indices may be negative and then count from the end. */
#ifndef UVCSP_MANAGER_TYPES_H
#define UVCSP_MANAGER_TYPES_H

#include <uvcsp/manager.h>

static inline uvcsp_proxy uvcsp_manager_new(uvcsp_manager *manager, const char *type, json_t *args)
{
    uvcsp_proxy proxy = {NULL, 0};
    (void)uvcsp_manager_create(manager, type, args, &proxy);
    return proxy;
}
#define UVCSP_NONE_ json_null()

/* Of every object: a copy of its value, for what has one (all but the synchronising ones); and it as text, to be freed with free() (NULL: an error). */
static inline int uvcsp_proxy_copy(uvcsp_proxy p, json_t **valuep)
{
    return uvcsp_call_with(p, "copy", valuep, 0);
}
UVCSP_API char *uvcsp_proxy_str(uvcsp_proxy proxy);

/* ---- list ---- */

/* `values`: an array, or NULL for an empty list. */
static inline uvcsp_proxy uvcsp_manager_list(uvcsp_manager *m, json_t *values)
{
    return uvcsp_manager_new(m, "list", values ? json_pack("[o]", values) : NULL);
}
static inline int uvcsp_mlist_append(uvcsp_proxy p, json_t *v) { return uvcsp_call_with(p, "append", NULL, 1, v); }
static inline int uvcsp_mlist_extend(uvcsp_proxy p, json_t *array) { return uvcsp_call_with(p, "extend", NULL, 1, array); }
/* Before that index; beyond the ends: at the end. */
static inline int uvcsp_mlist_insert(uvcsp_proxy p, long i, json_t *v)
{
    return uvcsp_call_with(p, "insert", NULL, 2, json_integer(i), v);
}
/* Takes the element out (-1: the last). UVCSP_INDEX_ERROR. */
static inline int uvcsp_mlist_pop(uvcsp_proxy p, long i, json_t **vp) { return uvcsp_call_with(p, "pop", vp, 1, json_integer(i)); }
/* The first that is equal. UVCSP_VALUE_ERROR: none is. */
static inline int uvcsp_mlist_remove(uvcsp_proxy p, json_t *v) { return uvcsp_call_with(p, "remove", NULL, 1, v); }
static inline long uvcsp_mlist_index(uvcsp_proxy p, json_t *v) { return uvcsp_call_long(p, "index", 1, v); }
static inline long uvcsp_mlist_count(uvcsp_proxy p, json_t *v) { return uvcsp_call_long(p, "count", 1, v); }
static inline long uvcsp_mlist_contains(uvcsp_proxy p, json_t *v) { return uvcsp_call_long(p, "contains", 1, v); }
static inline long uvcsp_mlist_len(uvcsp_proxy p) { return uvcsp_call_long(p, "len", 0); }
/* Stable; numbers, strings, or arrays of such. UVCSP_TYPE_ERROR: elements that cannot be compared; nothing is changed. */
static inline int uvcsp_mlist_sort(uvcsp_proxy p, bool reverse) { return uvcsp_call_with(p, "sort", NULL, 1, json_boolean(reverse)); }
static inline int uvcsp_mlist_reverse(uvcsp_proxy p) { return uvcsp_call_with(p, "reverse", NULL, 0); }
static inline int uvcsp_mlist_clear(uvcsp_proxy p) { return uvcsp_call_with(p, "clear", NULL, 0); }
static inline int uvcsp_mlist_get(uvcsp_proxy p, long i, json_t **vp) { return uvcsp_call_with(p, "get", vp, 1, json_integer(i)); }
static inline int uvcsp_mlist_set(uvcsp_proxy p, long i, json_t *v)
{
    return uvcsp_call_with(p, "set", NULL, 2, json_integer(i), v);
}
static inline int uvcsp_mlist_del(uvcsp_proxy p, long i) { return uvcsp_call_with(p, "del", NULL, 1, json_integer(i)); }
/* list[from:to:step], as Python cuts; UVCSP_SLICE_END for `from` or `to` is one that is left out. `step` 0 is UVCSP_VALUE_ERROR. */
#define UVCSP_SLICE_END (-__LONG_MAX__ - 1L)
static inline json_t *uvcsp_slice_end(long i) { return i == UVCSP_SLICE_END ? UVCSP_NONE_ : json_integer(i); }
static inline int uvcsp_mlist_slice(uvcsp_proxy p, long from, long to, long step, json_t **vp)
{
    return uvcsp_call_with(p, "slice", vp, 3, uvcsp_slice_end(from), uvcsp_slice_end(to), json_integer(step));
}
static inline int uvcsp_mlist_set_slice(uvcsp_proxy p, long from, long to, long step, json_t *array)
{
    return uvcsp_call_with(p, "set_slice", NULL, 4, uvcsp_slice_end(from), uvcsp_slice_end(to), json_integer(step), array);
}
static inline int uvcsp_mlist_del_slice(uvcsp_proxy p, long from, long to, long step)
{
    return uvcsp_call_with(p, "del_slice", NULL, 3, uvcsp_slice_end(from), uvcsp_slice_end(to), json_integer(step));
}
/* list + array; list * n; list *= n */
static inline int uvcsp_mlist_concat(uvcsp_proxy p, json_t *array, json_t **vp) { return uvcsp_call_with(p, "concat", vp, 1, array); }
static inline int uvcsp_mlist_repeat(uvcsp_proxy p, long n, json_t **vp) { return uvcsp_call_with(p, "repeat", vp, 1, json_integer(n)); }
static inline int uvcsp_mlist_multiply(uvcsp_proxy p, long n) { return uvcsp_call_with(p, "multiply", NULL, 1, json_integer(n)); }

/* ---- dict: keys are strings, in the order in which they came ---- */

/* `object`: a JSON object, or NULL for an empty one. */
static inline uvcsp_proxy uvcsp_manager_dict(uvcsp_manager *m, json_t *object)
{
    return uvcsp_manager_new(m, "dict", object ? json_pack("[o]", object) : NULL);
}
/* UVCSP_KEY_ERROR if it is not there, unless `otherwise` is not NULL. */
static inline int uvcsp_mdict_get(uvcsp_proxy p, const char *key, json_t *otherwise, json_t **vp)
{
    return otherwise ? uvcsp_call_with(p, "get", vp, 2, json_string(key), otherwise)
                     : uvcsp_call_with(p, "get", vp, 1, json_string(key));
}
static inline int uvcsp_mdict_set(uvcsp_proxy p, const char *key, json_t *v)
{
    return uvcsp_call_with(p, "set", NULL, 2, json_string(key), v);
}
static inline int uvcsp_mdict_del(uvcsp_proxy p, const char *key) { return uvcsp_call_with(p, "del", NULL, 1, json_string(key)); }
static inline int uvcsp_mdict_pop(uvcsp_proxy p, const char *key, json_t *otherwise, json_t **vp)
{
    return otherwise ? uvcsp_call_with(p, "pop", vp, 2, json_string(key), otherwise)
                     : uvcsp_call_with(p, "pop", vp, 1, json_string(key));
}
/* The last that came, as [key, value]. UVCSP_KEY_ERROR: it is empty. */
static inline int uvcsp_mdict_popitem(uvcsp_proxy p, json_t **pairp) { return uvcsp_call_with(p, "popitem", pairp, 0); }
/* The value there; if there is none, `v` becomes it. */
static inline int uvcsp_mdict_setdefault(uvcsp_proxy p, const char *key, json_t *v, json_t **vp)
{
    return uvcsp_call_with(p, "setdefault", vp, 2, json_string(key), v);
}
static inline int uvcsp_mdict_update(uvcsp_proxy p, json_t *object) { return uvcsp_call_with(p, "update", NULL, 1, object); }
static inline int uvcsp_mdict_keys(uvcsp_proxy p, json_t **arrayp) { return uvcsp_call_with(p, "keys", arrayp, 0); }
static inline int uvcsp_mdict_values(uvcsp_proxy p, json_t **arrayp) { return uvcsp_call_with(p, "values", arrayp, 0); }
/* An array of [key, value]. */
static inline int uvcsp_mdict_items(uvcsp_proxy p, json_t **arrayp) { return uvcsp_call_with(p, "items", arrayp, 0); }
static inline int uvcsp_mdict_clear(uvcsp_proxy p) { return uvcsp_call_with(p, "clear", NULL, 0); }
static inline long uvcsp_mdict_len(uvcsp_proxy p) { return uvcsp_call_long(p, "len", 0); }
static inline long uvcsp_mdict_has(uvcsp_proxy p, const char *key) { return uvcsp_call_long(p, "contains", 1, json_string(key)); }

/* ---- namespace: "set", "get", "del" of attributes; as text `Namespace(x=1, y=1)`, sorted, without those that begin with `_` ---- */

static inline uvcsp_proxy uvcsp_manager_namespace(uvcsp_manager *m, json_t *object)
{
    return uvcsp_manager_new(m, "namespace", object ? json_pack("[o]", object) : NULL);
}
static inline int uvcsp_mns_set(uvcsp_proxy p, const char *name, json_t *v)
{
    return uvcsp_call_with(p, "set", NULL, 2, json_string(name), v);
}
static inline int uvcsp_mns_get(uvcsp_proxy p, const char *name, json_t **vp) { return uvcsp_call_with(p, "get", vp, 1, json_string(name)); }
static inline int uvcsp_mns_del(uvcsp_proxy p, const char *name) { return uvcsp_call_with(p, "del", NULL, 1, json_string(name)); }

/* ---- value: one value of any kind ---- */

static inline uvcsp_proxy uvcsp_manager_value(uvcsp_manager *m, json_t *v) { return uvcsp_manager_new(m, "value", json_pack("[o]", v)); }
static inline int uvcsp_mvalue_get(uvcsp_proxy p, json_t **vp) { return uvcsp_call_with(p, "get", vp, 0); }
static inline int uvcsp_mvalue_set(uvcsp_proxy p, json_t *v) { return uvcsp_call_with(p, "set", NULL, 1, v); }

/* ---- array: a fixed number of numbers, integers (typecode 'i') or reals ('d'); others are UVCSP_TYPE_ERROR ---- */

static inline uvcsp_proxy uvcsp_manager_array(uvcsp_manager *m, char typecode, json_t *values)
{
    return uvcsp_manager_new(m, "array", json_pack("[s#,o]", &typecode, 1, values));
}
static inline int uvcsp_marray_get(uvcsp_proxy p, long i, json_t **vp) { return uvcsp_call_with(p, "get", vp, 1, json_integer(i)); }
static inline int uvcsp_marray_set(uvcsp_proxy p, long i, json_t *v)
{
    return uvcsp_call_with(p, "set", NULL, 2, json_integer(i), v);
}
static inline int uvcsp_marray_slice(uvcsp_proxy p, long from, long to, long step, json_t **vp)
{
    return uvcsp_mlist_slice(p, from, to, step, vp);
}
/* As many as are there; another number of them is UVCSP_VALUE_ERROR. */
static inline int uvcsp_marray_set_slice(uvcsp_proxy p, long from, long to, long step, json_t *values)
{
    return uvcsp_mlist_set_slice(p, from, to, step, values);
}
static inline long uvcsp_marray_len(uvcsp_proxy p) { return uvcsp_call_long(p, "len", 0); }

/* ---- set: of values that differ, in the order in which they came ---- */

static inline uvcsp_proxy uvcsp_manager_set(uvcsp_manager *m, json_t *values)
{
    return uvcsp_manager_new(m, "set", values ? json_pack("[o]", values) : NULL);
}
/* 1: it is new; 0: it was there. Remove: UVCSP_KEY_ERROR if it is not there; discard: 0 then, 1 if it was. */
static inline long uvcsp_mset_add(uvcsp_proxy p, json_t *v) { return uvcsp_call_long(p, "add", 1, v); }
static inline int uvcsp_mset_remove(uvcsp_proxy p, json_t *v) { return uvcsp_call_with(p, "remove", NULL, 1, v); }
static inline long uvcsp_mset_discard(uvcsp_proxy p, json_t *v) { return uvcsp_call_long(p, "discard", 1, v); }
static inline long uvcsp_mset_contains(uvcsp_proxy p, json_t *v) { return uvcsp_call_long(p, "contains", 1, v); }
static inline long uvcsp_mset_len(uvcsp_proxy p) { return uvcsp_call_long(p, "len", 0); }
/* Some element, taken out. UVCSP_KEY_ERROR: it is empty. */
static inline int uvcsp_mset_pop(uvcsp_proxy p, json_t **vp) { return uvcsp_call_with(p, "pop", vp, 0); }
static inline int uvcsp_mset_clear(uvcsp_proxy p) { return uvcsp_call_with(p, "clear", NULL, 0); }
/* `how`: "union" "intersection" "difference" "symmetric_difference" with an array; a result as an array. With "update" "intersection_update"
   "difference_update" the set is changed, and the result is null. */
static inline int uvcsp_mset_with(uvcsp_proxy p, const char *how, json_t *array, json_t **arrayp)
{
    return uvcsp_call_with(p, how, arrayp, 1, array);
}

/* ---- queue ---- */

/* `maxsize` 0: without a limit but memory. */
static inline uvcsp_proxy uvcsp_manager_queue(uvcsp_manager *m, long maxsize)
{
    return uvcsp_manager_new(m, "queue", json_pack("[I]", (json_int_t)maxsize));
}
/* Wait for room; for an item. UVCSP_TIMEOUT, UVCSP_WOULD_BLOCK. */
static inline int uvcsp_mqueue_put(uvcsp_proxy p, json_t *v, double timeout)
{
    return uvcsp_call_with(p, "put", NULL, 2, v, json_real(timeout));
}
static inline int uvcsp_mqueue_get(uvcsp_proxy p, json_t **vp, double timeout)
{
    return uvcsp_call_with(p, "get", vp, 1, json_real(timeout));
}
static inline long uvcsp_mqueue_size(uvcsp_proxy p) { return uvcsp_call_long(p, "size", 0); }
static inline long uvcsp_mqueue_empty(uvcsp_proxy p) { return uvcsp_call_long(p, "empty", 0); }
static inline long uvcsp_mqueue_full(uvcsp_proxy p) { return uvcsp_call_long(p, "full", 0); }
/* UVCSP_VALUE_ERROR: said more often than items were put in. */
static inline int uvcsp_mqueue_task_done(uvcsp_proxy p) { return uvcsp_call_with(p, "task_done", NULL, 0); }
static inline int uvcsp_mqueue_join(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "join", NULL, 1, json_real(timeout)); }

/* ---- lock, rlock: who waits first gets it first ---- */

static inline uvcsp_proxy uvcsp_manager_lock(uvcsp_manager *m) { return uvcsp_manager_new(m, "lock", NULL); }
static inline uvcsp_proxy uvcsp_manager_rlock(uvcsp_manager *m) { return uvcsp_manager_new(m, "rlock", NULL); }
/* UVCSP_OWNER_DIED: it is held now; but who had it before died, or ended, with it, and uvcsp_call_error() says how. UVCSP_TIMEOUT,
   UVCSP_WOULD_BLOCK: it is not held. */
static inline int uvcsp_mlock_acquire(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "acquire", NULL, 1, json_real(timeout)); }
/* A lock may be released by any process, an rlock only by its holder. UVCSP_RUNTIME_ERROR: it is not held. */
static inline int uvcsp_mlock_release(uvcsp_proxy p) { return uvcsp_call_with(p, "release", NULL, 0); }
static inline long uvcsp_mlock_locked(uvcsp_proxy p) { return uvcsp_call_long(p, "locked", 0); }

/* ---- semaphore ---- */

static inline uvcsp_proxy uvcsp_manager_semaphore(uvcsp_manager *m, long value)
{
    return uvcsp_manager_new(m, "semaphore", json_pack("[I]", (json_int_t)value));
}
/* The same, never above its first value: UVCSP_VALUE_ERROR. What a process has acquired of it and not released comes back when it ends or dies; whoever
   acquires that is told UVCSP_OWNER_DIED. A plain one is a signal as often as a resource, and gets nothing back. */
static inline uvcsp_proxy uvcsp_manager_bounded_semaphore(uvcsp_manager *m, long value)
{
    return uvcsp_manager_new(m, "bounded_semaphore", json_pack("[I]", (json_int_t)value));
}
static inline int uvcsp_msemaphore_acquire(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "acquire", NULL, 1, json_real(timeout)); }
static inline int uvcsp_msemaphore_release(uvcsp_proxy p, long n) { return uvcsp_call_with(p, "release", NULL, 1, json_integer(n)); }
static inline long uvcsp_msemaphore_value(uvcsp_proxy p) { return uvcsp_call_long(p, "value", 0); }

/* ---- event ---- */

static inline uvcsp_proxy uvcsp_manager_event(uvcsp_manager *m) { return uvcsp_manager_new(m, "event", NULL); }
static inline int uvcsp_mevent_set(uvcsp_proxy p) { return uvcsp_call_with(p, "set", NULL, 0); }
static inline int uvcsp_mevent_clear(uvcsp_proxy p) { return uvcsp_call_with(p, "clear", NULL, 0); }
static inline long uvcsp_mevent_is_set(uvcsp_proxy p) { return uvcsp_call_long(p, "is_set", 0); }
static inline int uvcsp_mevent_wait(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "wait", NULL, 1, json_real(timeout)); }

/* ---- condition, with an rlock of its own: acquired and released by the functions of locks ---- */

static inline uvcsp_proxy uvcsp_manager_condition(uvcsp_manager *m) { return uvcsp_manager_new(m, "condition", NULL); }
/* Releases the lock, however often it is held, waits to be notified, and takes it again (also when it gives UVCSP_TIMEOUT). UVCSP_OWNER_DIED: notified, and
   who had the lock before died with it. UVCSP_RUNTIME_ERROR: the lock is not held by the caller. */
static inline int uvcsp_mcondition_wait(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "wait", NULL, 1, json_real(timeout)); }
static inline int uvcsp_mcondition_notify(uvcsp_proxy p, long n) { return uvcsp_call_with(p, "notify", NULL, 1, json_integer(n)); }
static inline int uvcsp_mcondition_notify_all(uvcsp_proxy p) { return uvcsp_call_with(p, "notify_all", NULL, 0); }

/* ---- barrier ---- */

static inline uvcsp_proxy uvcsp_manager_barrier(uvcsp_manager *m, long parties)
{
    return uvcsp_manager_new(m, "barrier", json_pack("[I]", (json_int_t)parties));
}
/* Waits until as many as there are parties wait: 0 to parties - 1, the order in which they came. UVCSP_BROKEN_BARRIER: it was aborted, or one who waited gave
   up or ended, or one who has ever waited at it died; so it is until it is reset. Who gives up itself gets -UVCSP_TIMEOUT, or
   -UVCSP_WOULD_BLOCK; a manager that is gone is -UVCSP_RETIRED or -UVCSP_POISONED. */
static inline long uvcsp_mbarrier_wait(uvcsp_proxy p, double timeout) { return uvcsp_call_long(p, "wait", 1, json_real(timeout)); }
/* Whole again, and empty: those who wait get UVCSP_BROKEN_BARRIER. Abort: broken from now on. */
static inline int uvcsp_mbarrier_reset(uvcsp_proxy p) { return uvcsp_call_with(p, "reset", NULL, 0); }
static inline int uvcsp_mbarrier_abort(uvcsp_proxy p) { return uvcsp_call_with(p, "abort", NULL, 0); }
static inline long uvcsp_mbarrier_parties(uvcsp_proxy p) { return uvcsp_call_long(p, "parties", 0); }
static inline long uvcsp_mbarrier_waiting(uvcsp_proxy p) { return uvcsp_call_long(p, "n_waiting", 0); }
static inline long uvcsp_mbarrier_broken(uvcsp_proxy p) { return uvcsp_call_long(p, "broken", 0); }

/* ---- pool: workers of the server's, which run tasks for all ----

   A task is named: it was registered with uvcsp_manager_register_task() by the program of the manager before that was started. Others have
   UVCSP_NO_SUCH_OPERATION. The error of a task is that of the call; UVCSP_TASK_DIED: its worker has ended in the middle of it (it is replaced);
   UVCSP_TASK_CANCELLED: the pool was terminated or freed. UVCSP_VALUE_ERROR: the pool takes no more tasks. */

/* `n_workers` 0: as many as there are processors. `options`: NULL, or an object with any of "maxtasksperchild" and "retries" as for
   uvcsp_pool_new(), "initializer", the name of a task that each worker runs first, and "initargs", an array. */
static inline uvcsp_proxy uvcsp_manager_pool(uvcsp_manager *m, long n_workers, json_t *options)
{
    return uvcsp_manager_new(m, "pool", json_pack("[I,o]", (json_int_t)n_workers, options ? options : UVCSP_NONE_));
}
/* Runs the task with these arguments (an array, or NULL for none); with each element of `array` as its only argument; with each, which is an array, as
   its arguments. Map and starmap give an array of the values, or the error of the first call that failed. `chunk`: as in <uvcsp/pool.h>. */
static inline int uvcsp_mpool_apply(uvcsp_proxy p, const char *task, json_t *args, json_t **vp)
{
    return uvcsp_call_with(p, "apply", vp, 2, json_string(task), args ? args : json_array());
}
static inline int uvcsp_mpool_map(uvcsp_proxy p, const char *task, json_t *array, long chunk, json_t **arrayp)
{
    return uvcsp_call_with(p, "map", arrayp, 3, json_string(task), array, json_integer(chunk));
}
static inline int uvcsp_mpool_starmap(uvcsp_proxy p, const char *task, json_t *array, long chunk, json_t **arrayp)
{
    return uvcsp_call_with(p, "starmap", arrayp, 3, json_string(task), array, json_integer(chunk));
}
/* The same, and do not wait: a result, another object, which belongs to the calling process and goes with it. It outlives the pool. Empty: an error. */
static inline uvcsp_proxy uvcsp_mpool_start_(uvcsp_proxy p, const char *form, const char *task, json_t *calls, long chunk)
{
    long id = chunk < 0 ? uvcsp_call_long(p, form, 2, json_string(task), calls)
                        : uvcsp_call_long(p, form, 3, json_string(task), calls, json_integer(chunk));
    return id > 0 ? (uvcsp_proxy){p.manager, (uint64_t)id} : (uvcsp_proxy){NULL, 0};
}
static inline uvcsp_proxy uvcsp_mpool_apply_async(uvcsp_proxy p, const char *task, json_t *args)
{
    return uvcsp_mpool_start_(p, "apply_async", task, args ? args : json_array(), -1);
}
static inline uvcsp_proxy uvcsp_mpool_map_async(uvcsp_proxy p, const char *task, json_t *array, long chunk)
{
    return uvcsp_mpool_start_(p, "map_async", task, array, chunk);
}
static inline uvcsp_proxy uvcsp_mpool_starmap_async(uvcsp_proxy p, const char *task, json_t *array, long chunk)
{
    return uvcsp_mpool_start_(p, "starmap_async", task, array, chunk);
}
/* ... whose values are handed out one by one, in the order of the array, or as they come: uvcsp_mresult_next(). */
static inline uvcsp_proxy uvcsp_mpool_imap(uvcsp_proxy p, const char *task, json_t *array, long chunk)
{
    return uvcsp_mpool_start_(p, "imap", task, array, chunk);
}
static inline uvcsp_proxy uvcsp_mpool_imap_unordered(uvcsp_proxy p, const char *task, json_t *array, long chunk)
{
    return uvcsp_mpool_start_(p, "imap_unordered", task, array, chunk);
}
/* It takes no more tasks, and its workers end when all is done; at once, and what is not done is cancelled. Join waits for their end: UVCSP_TIMEOUT;
   UVCSP_VALUE_ERROR if it is neither closed nor terminated. */
static inline int uvcsp_mpool_close(uvcsp_proxy p) { return uvcsp_call_with(p, "close", NULL, 0); }
static inline int uvcsp_mpool_terminate(uvcsp_proxy p) { return uvcsp_call_with(p, "terminate", NULL, 0); }
static inline int uvcsp_mpool_join(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "join", NULL, 1, json_real(timeout)); }
static inline long uvcsp_mpool_size(uvcsp_proxy p) { return uvcsp_call_long(p, "len", 0); }

/* Waits until all is done; then what the waiting form would have given, as often as it is asked. UVCSP_TIMEOUT, UVCSP_WOULD_BLOCK. */
static inline int uvcsp_mresult_get(uvcsp_proxy p, json_t **vp, double timeout)
{
    return uvcsp_call_with(p, "get", vp, 1, json_real(timeout));
}
static inline int uvcsp_mresult_wait(uvcsp_proxy p, double timeout) { return uvcsp_call_with(p, "wait", NULL, 1, json_real(timeout)); }
/* 1 or 0. Successful: UVCSP_VALUE_ERROR if it is not ready. */
static inline long uvcsp_mresult_ready(uvcsp_proxy p) { return uvcsp_call_long(p, "ready", 0); }
static inline long uvcsp_mresult_successful(uvcsp_proxy p) { return uvcsp_call_long(p, "successful", 0); }
/* The next value, or the error of that call; UVCSP_STOP_ITERATION after the last. */
static inline int uvcsp_mresult_next(uvcsp_proxy p, json_t **vp, double timeout)
{
    return uvcsp_call_with(p, "next", vp, 1, json_real(timeout));
}

#endif
