#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process/process.h"
#include "runtime/report.h"
#include "runtime/young.h"

#define PER_SLAB 256
#define FIRST_RECORDS 8

struct slab {
    struct slab *next;
    struct usp_process *records; /* aligned */
};

static struct slab *slabs USP_YOUNG;
struct usp_process *usp_free_processes USP_YOUNG;
static unsigned long last_serial USP_YOUNG;

/* The first records: both sides of a fork write to those of whoever is started. */
static _Alignas(64) struct usp_process first_records[FIRST_RECORDS] USP_YOUNG;
static bool first_are_listed USP_YOUNG;

static void list_records(struct usp_process *records, size_t n)
{
    while (n-- > 0) {
        records[n].next = usp_free_processes;
        usp_free_processes = &records[n];
    }
}

static __attribute__((noinline)) void add_records(void)
{
    if (!first_are_listed) {
        first_are_listed = true;
        list_records(first_records, FIRST_RECORDS);
        return;
    }
    struct slab *slab = calloc(1, sizeof *slab + (PER_SLAB + 1) * sizeof *slab->records);
    if (!slab)
        usp_fatal("no memory for a process");
    uintptr_t line = sizeof *slab->records - 1;
    slab->records = (struct usp_process *)(((uintptr_t)(slab + 1) + line) & ~line);
    slab->next = slabs;
    slabs = slab;
    list_records(slab->records, PER_SLAB);
}

/* There is one. */
static inline struct usp_process *take_record(void)
{
    struct usp_process *process = usp_free_processes;
    usp_free_processes = process->next;
    process->serial = last_serial += 2;
    return process;
}

static struct usp_process *new_record(void)
{
    if (!usp_free_processes)
        add_records();
    return take_record();
}

static int conn_ended(void **place, void *arg)
{
    (void)arg;
    usp_conn_hooks.ended(*place);
    return 0;
}

void usp_process_release_arguments(struct usp_process *process)
{
    if (!process->kind) {
        while (process->members) {
            struct usp_process *member = process->members;
            process->members = member->next;
            usp_process_release(member);
        }
        return;
    }
    if (process->joined)
        usp_process_each_conn(process, conn_ended, NULL);
    if (process->args != process->room)
        free(process->args);
    process->args = process->room;
}

struct usp_process *usp_process_unpack(struct usp_process *process)
{
    if (process->kind)
        return process;
    struct usp_process *first = process->members;
    process->members = NULL;
    usp_process_release(process);
    return first;
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
static __attribute__((noinline)) void copy_arguments(struct usp_process *process, const void *args)
{
    const struct uvcsp_kind *kind = process->kind;
    size_t size = (kind->size + 15) & ~(size_t)15, total = size;
    for (const struct uvcsp_param *p = kind->params; (p = next_array(p)); p++)
        total += array_length(args, p) * sizeof(void *);
    process->args = total > sizeof process->room ? malloc(total) : process->room;
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

/* The value, its first two members by one store: who copies it loads them together, and would wait for two stores. */
static inline uvcsp_process value_of(struct usp_process *process)
{
    typedef uintptr_t pair __attribute__((vector_size(2 * sizeof(uintptr_t))));
    uvcsp_process value = {.serial = process->serial};
    pair both = {(uintptr_t)process->kind, (uintptr_t)process};
    memcpy(&value, &both, sizeof both);
    return value;
}

static __attribute__((noinline)) struct usp_process *new_slowly(const struct uvcsp_kind *kind, const void *args)
{
    USP_ENTER();
    struct usp_process *process = new_record();
    process->kind = kind;
    process->special = kind->params[0].kind != UVCSP_PARAM_END;
    if (process->special)
        copy_arguments(process, args);
    return process;
}

/* What has to call others is another function: this one saves no registers. */
uvcsp_process uvcsp_process_new(const struct uvcsp_kind *kind, const void *args)
{
    if (__builtin_expect(!usp_here || !usp_free_processes || kind->params[0].kind != UVCSP_PARAM_END, 0))
        return value_of(new_slowly(kind, args));
    struct usp_process *process = take_record();
    process->kind = kind;
    return value_of(process);
}

/* ---- values ---- */

static struct usp_process *find(uvcsp_process value)
{
    struct usp_process *process = value.args;
    return process && process->serial == value.serial ? process : NULL;
}

struct usp_process *usp_value_use(uvcsp_process value)
{
    struct usp_process *process = find(value);
    if (process) {
        process->serial |= 1;
        process->next = NULL;
    } else
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
    if (!process)
        return;
    process->serial |= 1;
    usp_process_release(process);
}

uvcsp_process uvcsp_worker(const uvcsp_process *values, size_t n)
{
    USP_ENTER();
    struct usp_process *group = new_record();
    group->special = true;
    group->kind = NULL;
    group->members = NULL;
    struct usp_process **at = &group->members;
    for (size_t i = 0; i < n; i++) {
        struct usp_process *member = usp_value_use(values[i]);
        if (!member) {
            usp_process_release(group);
            return (uvcsp_process){NULL, NULL, 0}; /* whoever is given it says so */
        }
        if (!member->kind) {
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

uvcsp_process *uvcsp_values_new(size_t n)
{
    uvcsp_process *values = reallocarray(NULL, n > 0 ? n : 1, sizeof *values);
    if (!values)
        usp_fatal("no memory for %zu processes", n);
    return values;
}

void uvcsp_values_free(uvcsp_process *values)
{
    free(values);
}

static void free_arguments(struct usp_process *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (records[i].kind && records[i].args != records[i].room)
            free(records[i].args);
}

void usp_values_deinit(void)
{
    free_arguments(first_records, FIRST_RECORDS);
    memset(first_records, 0, sizeof first_records);
    first_are_listed = false;
    while (slabs) {
        struct slab *slab = slabs;
        slabs = slab->next;
        free_arguments(slab->records, PER_SLAB);
        free(slab);
    }
    usp_free_processes = NULL;
}
