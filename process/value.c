#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process/process.h"
#include "runtime/report.h"

#define PER_SLAB 256

struct slab {
    struct slab *next;
    struct usp_process records[PER_SLAB];
};

static struct slab *slabs;
static struct usp_process *free_records;
static unsigned long last_serial;

static struct usp_process *take_record(void)
{
    if (!free_records) {
        struct slab *slab = calloc(1, sizeof *slab);
        if (!slab)
            usp_fatal("no memory for a process");
        slab->next = slabs;
        slabs = slab;
        for (size_t i = PER_SLAB; i-- > 0;) {
            slab->records[i].next = free_records;
            free_records = &slab->records[i];
        }
    }
    struct usp_process *process = free_records;
    free_records = process->next;
    process->serial = ++last_serial;
    process->kind = NULL;
    process->args = NULL;
    process->next = NULL;
    process->members = NULL;
    process->started = false;
    process->joined = false;
    process->task = NULL;
    process->deferred = NULL;
    process->join = NULL;
    process->handle = NULL;
    return process;
}

static int conn_ended(void **place, void *arg)
{
    (void)arg;
    usp_conn_hooks.ended(*place);
    return 0;
}

void usp_process_release(struct usp_process *process)
{
    while (process->members) {
        struct usp_process *member = process->members;
        process->members = member->next;
        usp_process_release(member);
    }
    if (process->joined && process->kind->params[0].kind != UVCSP_PARAM_END)
        usp_process_each_conn(process, conn_ended, NULL);
    if (process->args != process->room)
        free(process->args);
    process->args = NULL;
    process->serial = 0;
    process->next = free_records;
    free_records = process;
}

/* ---- arguments ---- */

static const struct uvcsp_param *next_array(const struct uvcsp_param *param)
{
    while (param->kind != UVCSP_PARAM_END && param->kind != UVCSP_PARAM_INS_KIND &&
           param->kind != UVCSP_PARAM_OUTS_KIND)
        param++;
    return param->kind == UVCSP_PARAM_END ? NULL : param;
}

static size_t array_length(const void *args, const struct uvcsp_param *param)
{
    size_t n;
    memcpy(&n, (const char *)args + param->n_offset, sizeof n);
    return n;
}

/* The arguments, and behind them the arrays of ends that they point to. */
static void copy_arguments(struct usp_process *process, const void *args)
{
    const struct uvcsp_kind *kind = process->kind;
    size_t size = (kind->size + 15) & ~(size_t)15, total = size;
    for (const struct uvcsp_param *p = kind->params; (p = next_array(p)); p++)
        total += array_length(args, p) * sizeof(void *);
    process->args = total <= sizeof process->room ? (void *)process->room : malloc(total);
    if (!process->args)
        usp_fatal("no memory for the arguments of process '%s'", kind->name);
    memcpy(process->args, args, kind->size);
    char *at = (char *)process->args + size;
    for (const struct uvcsp_param *p = kind->params; (p = next_array(p)); p++) {
        size_t bytes = array_length(args, p) * sizeof(void *);
        void *from;
        memcpy(&from, (const char *)args + p->offset, sizeof from);
        if (!from && bytes)
            usp_fatal("process '%s': an array of ends is NULL", kind->name);
        if (bytes)
            memcpy(at, from, bytes);
        memcpy((char *)process->args + p->offset, &at, sizeof at);
        at += bytes;
    }
}

uvcsp_process uvcsp_process_new(const struct uvcsp_kind *kind, const void *args)
{
    USP_ENTER();
    struct usp_process *process = take_record();
    process->kind = kind;
    copy_arguments(process, args);
    return (uvcsp_process){kind, process, process->serial};
}

/* ---- values ---- */

static struct usp_process *find(uvcsp_process value)
{
    struct usp_process *process = value.args;
    if (!process || process->serial != value.serial || process->started)
        return NULL;
    return process;
}

struct usp_process *usp_value_use(uvcsp_process value)
{
    struct usp_process *process = find(value);
    if (process)
        process->started = true;
    else
        usp_report("a process value%s%s was run before, or is none: each value runs once",
                   value.kind ? " of " : "", value.kind ? value.kind->name : "");
    return process;
}

int usp_values_use(const uvcsp_process *values, size_t n, struct usp_process **processes)
{
    for (size_t i = 0; i < n; i++) {
        processes[i] = usp_value_use(values[i]);
        if (processes[i])
            continue;
        for (size_t k = 0; k < i; k++)
            usp_process_release(processes[k]);
        for (size_t k = i + 1; k < n; k++)
            uvcsp_process_free(values[k]);
        return -EINVAL;
    }
    return 0;
}

void uvcsp_process_free(uvcsp_process value)
{
    USP_ENTER();
    struct usp_process *process = find(value);
    if (process)
        usp_process_release(process);
}

uvcsp_process uvcsp_worker(const uvcsp_process *values, size_t n)
{
    USP_ENTER();
    struct usp_process *group = take_record();
    struct usp_process **at = &group->members;
    for (size_t i = 0; i < n; i++) {
        struct usp_process *member = usp_value_use(values[i]);
        if (!member) {
            usp_process_release(group);
            return (uvcsp_process){NULL, NULL, 0}; /* whoever is given it says so */
        }
        if (member->members || !member->kind) {
            *at = member->members; /* a group in a group: its members */
            member->members = NULL;
            usp_process_release(member);
        } else {
            *at = member;
        }
        while (*at)
            at = &(*at)->next;
    }
    return (uvcsp_process){n > 0 ? values[0].kind : NULL, group, group->serial};
}

/* An array of few values is kept for the next one who needs one: calloc and free cost more than to start a process. */
#define FEW 8

struct array {
    size_t n;
    uvcsp_process values[];
};
static struct array *spare;

uvcsp_process *uvcsp_values_new(size_t n)
{
    size_t room = n > FEW ? n : FEW;
    struct array *array = n <= FEW ? spare : NULL;
    if (array) {
        spare = NULL;
        memset(array->values, 0, n * sizeof array->values[0]);
        return array->values;
    }
    if (room <= (SIZE_MAX - sizeof *array) / sizeof array->values[0])
        array = calloc(1, sizeof *array + room * sizeof array->values[0]);
    if (!array)
        usp_fatal("no memory for %zu processes", n);
    array->n = room;
    return array->values;
}

void uvcsp_values_free(uvcsp_process *values)
{
    if (!values)
        return;
    struct array *array = (struct array *)((char *)values - offsetof(struct array, values));
    if (array->n == FEW && !spare)
        spare = array;
    else
        free(array);
}

void usp_values_deinit(void)
{
    free(spare);
    spare = NULL;
    while (slabs) {
        struct slab *slab = slabs;
        slabs = slab->next;
        for (size_t i = 0; i < PER_SLAB; i++)
            if (slab->records[i].serial && slab->records[i].args != slab->records[i].room)
                free(slab->records[i].args);
        free(slab);
    }
    free_records = NULL;
}
