#include "tools/show.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/worker.h"

static const char *command_of(pid_t pid, char *text, size_t size)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(text, (int)size, file))
        snprintf(text, size, "?");
    if (file)
        fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static bool lives(unsigned index)
{
    return atomic_load(&usp_worker_of(index)->state) == USP_WORKER_RUNNING;
}

static unsigned workers_of(const struct picture *picture)
{
    unsigned n = 0;
    for (unsigned i = 0; i < picture->n_records; i++)
        n += lives(i);
    return n;
}

void show_summary(const struct picture *picture)
{
    char command[40];
    printf("%7d  %-20s  %7u  %9zu  %8zu\n", (int)usp_shared->root,
           command_of(usp_shared->root, command, sizeof command), workers_of(picture),
           picture->n_processes, picture->n_channels);
}

/* ---- text ---- */

/* A line of a table, of so many that say the same. */
struct line {
    char *text;
    size_t n;
};

struct table {
    struct line *lines;
    size_t n, room;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static void put(struct table *table, const char *text)
{
    if (table->n == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        struct line *lines = realloc(table->lines, room * sizeof *lines);
        if (!lines)
            abort();
        table->lines = lines;
        table->room = room;
    }
    table->lines[table->n] = (struct line){strdup(text), 1};
    if (!table->lines[table->n++].text)
        abort();
}

/* Prints each line once, with how many there were, and forgets them. */
static void print(struct table *table)
{
    if (table->n > 0)
        qsort(table->lines, table->n, sizeof *table->lines, by_text);
    for (size_t i = 0, same; i < table->n; i += same) {
        same = 1;
        while (i + same < table->n &&
               strcmp(table->lines[i].text, table->lines[i + same].text) == 0)
            same++;
        printf("%7zu  %s\n", same, table->lines[i].text);
    }
    for (size_t i = 0; i < table->n; i++)
        free(table->lines[i].text);
    free(table->lines);
    *table = (struct table){0};
}

static const char *made_at(const struct usp_channel *channel, const char *name, char *text,
                           size_t size)
{
    mirror_text(channel->site, text, size);
    return strcmp(name, text) == 0 ? "" : text;
}

void show_text(const struct picture *picture)
{
    char command[40], name[64], at[100], wants[500], line[900];
    struct table table = {0};
    printf("%d %s: %u workers, %zu processes, %zu channels\n\n", (int)usp_shared->root,
           command_of(usp_shared->root, command, sizeof command), workers_of(picture),
           picture->n_processes, picture->n_channels);
    for (size_t i = 0; i < picture->n_processes; i++) {
        const struct picture_process *process = &picture->processes[i];
        picture_wants(process, wants, sizeof wants);
        bool waits = process->state == PICTURE_WAITS && process->task->site;
        snprintf(line, sizeof line, "%7d  %-20s  %-7s  %-24s  %s",
                 (int)usp_worker_of(process->task->worker)->pid,
                 mirror_text(process->task->name, name, sizeof name),
                 picture_state_name(process->state),
                 waits ? mirror_text(process->task->site, at, sizeof at) : "", wants);
        line[strcspn(line, "\n")] = '\0';
        for (size_t n = strlen(line); n > 0 && line[n - 1] == ' ';)
            line[--n] = '\0';
        put(&table, line);
    }
    printf("%7s  %7s  %-20s  %-7s  %-24s  %s\n", "NUMBER", "PID", "PROCESS", "STATE", "AT", "FOR");
    print(&table);
    if (picture->n_channels == 0)
        return;
    printf("\n%7s  %-20s  %8s  %8s  %7s  %7s  %12s  %13s  %s\n", "NUMBER", "CHANNEL", "CAPACITY",
           "BUFFERED", "READERS", "WRITERS", "WAIT TO READ", "WAIT TO WRITE", "MADE AT");
    for (size_t i = 0; i < picture->n_channels; i++) {
        const struct picture_channel *seen = &picture->channels[i];
        const struct usp_channel *channel = seen->channel;
        const char *ended = picture_ended(channel);
        mirror_text(channel->name, name, sizeof name);
        snprintf(line, sizeof line, "%-20s  %8u  %8u  %7u  %7u  %12u  %13u  %s%s%s%s", name,
                 channel->capacity, usp_buffered(channel), channel->n_ends[USP_READER],
                 channel->n_ends[USP_WRITER], seen->waiting[USP_READER], seen->waiting[USP_WRITER],
                 made_at(channel, name, at, sizeof at), *ended ? " (" : "", ended,
                 *ended ? ")" : "");
        for (size_t n = strlen(line); n > 0 && line[n - 1] == ' ';)
            line[--n] = '\0';
        put(&table, line);
    }
    print(&table);
}

/* ---- JSON ---- */

static json_t *workers_json(const struct picture *picture)
{
    json_t *workers = json_array();
    char name[64];
    for (unsigned i = 0; i < picture->n_records; i++) {
        const struct usp_worker *worker = usp_worker_of(i);
        if (lives(i))
            json_array_append_new(
                workers, json_pack("{s:i, s:s, s:b}", "pid", (int)worker->pid, "name",
                                   i == 0 ? "main" : mirror_text(worker->name, name, sizeof name),
                                   "asleep", atomic_load(&worker->sleeping) != 0));
    }
    return workers;
}

static json_t *process_json(const struct picture *picture, const struct picture_process *process)
{
    char name[64], at[100], wants[500];
    json_t *offers = json_array();
    for (uint32_t i = 0; i < process->n_offers; i++) {
        size_t id = (size_t)(picture_find(picture, process->offers[i].channel) - picture->channels);
        json_array_append_new(offers,
                              json_pack("{s:I, s:s}", "channel", (json_int_t)id, "side",
                                        process->offers[i].side == USP_READER ? "read" : "write"));
    }
    bool waits = process->state == PICTURE_WAITS && process->task->site;
    return json_pack("{s:s, s:i, s:s, s:s*, s:s, s:o}", "name",
                     mirror_text(process->task->name, name, sizeof name), "pid",
                     (int)usp_worker_of(process->task->worker)->pid, "state",
                     picture_state_name(process->state), "at",
                     waits ? mirror_text(process->task->site, at, sizeof at) : NULL, "for",
                     picture_wants(process, wants, sizeof wants), "offers", offers);
}

static json_t *channel_json(const struct picture_channel *seen, size_t id)
{
    const struct usp_channel *channel = seen->channel;
    char name[64], at[100];
    return json_pack("{s:I, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:s}", "id", (json_int_t)id,
                     "name", mirror_text(channel->name, name, sizeof name), "made_at",
                     mirror_text(channel->site, at, sizeof at), "capacity",
                     (json_int_t)channel->capacity, "buffered", (json_int_t)usp_buffered(channel),
                     "readers", (int)channel->n_ends[USP_READER], "writers",
                     (int)channel->n_ends[USP_WRITER], "waiting_to_read",
                     (int)seen->waiting[USP_READER], "waiting_to_write",
                     (int)seen->waiting[USP_WRITER], "ended", picture_ended(channel));
}

void show_json(const struct picture *picture)
{
    char command[40];
    json_t *processes = json_array(), *channels = json_array();
    for (size_t i = 0; i < picture->n_processes; i++)
        json_array_append_new(processes, process_json(picture, &picture->processes[i]));
    for (size_t i = 0; i < picture->n_channels; i++)
        json_array_append_new(channels, channel_json(&picture->channels[i], i));
    json_t *all = json_pack("{s:i, s:s, s:o, s:o, s:o}", "pid", (int)usp_shared->root, "program",
                            command_of(usp_shared->root, command, sizeof command), "workers",
                            workers_json(picture), "processes", processes, "channels", channels);
    if (!all || json_dumpf(all, stdout, JSON_COMPACT) < 0)
        fprintf(stderr, "uvcsp-ps: out of memory\n");
    putchar('\n');
    json_decref(all);
}
