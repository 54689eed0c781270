#include "tools/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/arena.h"
#include "runtime/sources.h"
#include "runtime/worker.h"

struct room {
    struct picture *picture;
    size_t processes, channels;
    bool failed;
};

/* Room for one more. */
static bool grow(struct room *room, void *array, size_t *most, size_t n, size_t size)
{
    if (n < *most)
        return true;
    size_t more = *most ? 2 * *most : 64;
    void **at = array, *grown = realloc(*at, more * size);
    room->failed |= !grown;
    if (!grown)
        return false;
    *at = grown;
    *most = more;
    return true;
}

static void add_channel(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct room *room = arg;
    struct picture *picture = room->picture;
    const struct usp_channel *channel = block;
    if (channel->magic == USP_CHANNEL_MAGIC && grow(room, &picture->channels, &room->channels,
                                                    picture->n_channels, sizeof *picture->channels))
        picture->channels[picture->n_channels++] = (struct picture_channel){.channel = channel};
}

static const struct usp_offer *offers_of(const struct usp_task *task, uint32_t *np)
{
    const struct usp_wait *wait = (const struct usp_wait *)(const void *)task->room;
    *np = wait->n;
    if (*np <= 1)
        return &wait->first;
    if (!usp_arena_is(wait->table, USP_BLOCK_OFFERS) ||
        *np > usp_arena_size(wait->table) / sizeof *wait->table)
        *np = 0;
    return wait->table;
}

static void add_process(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct room *room = arg;
    struct picture *picture = room->picture;
    const struct usp_task *task = block;
    if (task->worker >= picture->n_records ||
        !grow(room, &picture->processes, &room->processes, picture->n_processes,
              sizeof *picture->processes))
        return;
    struct picture_process *process = &picture->processes[picture->n_processes++];
    *process = (struct picture_process){.task = task};
    if (task->hope.state & USP_HOPE_UNBORN)
        process->state = PICTURE_UNBORN;
    else if (task->hope.state & (USP_HOPE_JOINS | USP_HOPE_ENDS))
        process->state = PICTURE_WAITS;
    if (process->state != PICTURE_RUNS ||
        usp_commit_state(atomic_load_explicit(&task->commit, memory_order_relaxed)) != USP_OPEN)
        return;
    process->state = PICTURE_WAITS;
    process->offers = offers_of(task, &process->n_offers);
    uint32_t n = 0;
    while (n < process->n_offers && picture_find(picture, process->offers[n].channel))
        n++;
    process->n_offers = n;
    for (uint32_t i = 0; i < n; i++)
        picture_find(picture, process->offers[i].channel)->waiting[process->offers[i].side & 1]++;
}

struct picture_channel *picture_find(const struct picture *picture,
                                     const struct usp_channel *channel)
{
    size_t low = 0, high = picture->n_channels;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (picture->channels[middle].channel < channel)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < picture->n_channels && picture->channels[low].channel == channel;
    return found ? &picture->channels[low] : NULL;
}

bool picture_take(struct picture *picture)
{
    struct room room = {.picture = picture};
    memset(picture, 0, sizeof *picture);
    picture->n_records = atomic_load(&usp_shared->n_records);
    if (picture->n_records > USP_MAX_WORKERS)
        picture->n_records = USP_MAX_WORKERS;
    usp_arena_each(USP_BLOCK_CHANNEL, add_channel, &room); /* in the order of their addresses */
    usp_arena_each(USP_BLOCK_TASK, add_process, &room);
    if (room.failed)
        picture_free(picture);
    return !room.failed;
}

void picture_free(struct picture *picture)
{
    free(picture->processes);
    free(picture->channels);
    memset(picture, 0, sizeof *picture);
}

/* ---- in words ---- */

struct words {
    char *text;
    size_t n, size;
};

static void add(struct words *words, const char *what, const char *name)
{
    if (words->n < words->size)
        words->n += (size_t)snprintf(words->text + words->n, words->size - words->n, "%s%s%s%s%s",
                                     words->n > 0 ? ", or " : "", what, name ? " '" : "",
                                     name ? name : "", name ? "'" : "");
}

const char *picture_wants(const struct picture_process *process, char *text, size_t size)
{
    static const char *const sources[] = {
        [USP_SOURCE_TIMER] = "a timer",
        [USP_SOURCE_FD] = "a descriptor",
        [USP_SOURCE_SIGNAL] = "a signal",
        [USP_SOURCE_EVENT] = "the end of a process",
    };
    enum { MOST = 4 };
    const struct usp_hope *hope = &process->task->hope;
    struct words words = {text, 0, size};
    char name[100];
    text[0] = '\0';
    if (process->state == PICTURE_WAITS && hope->state & USP_HOPE_ENDS)
        add(&words, "all others to end", NULL);
    else if (process->state == PICTURE_WAITS && hope->state & USP_HOPE_JOINS)
        add(&words, "the processes of its PAR, CO or SEQ", NULL);
    if (process->state != PICTURE_WAITS || words.n > 0)
        return text;
    for (uint32_t i = 0; i < process->n_offers && i < MOST; i++)
        add(&words,
            process->offers[i].side == USP_READER ? "to read from channel" : "to write to channel",
            mirror_text(process->offers[i].channel->name, name, sizeof name));
    if (process->n_offers > MOST) {
        snprintf(name, sizeof name, "%u more", process->n_offers - MOST);
        add(&words, name, NULL);
    }
    for (unsigned i = 0; i < sizeof sources / sizeof sources[0]; i++)
        if (hope->sources & 1u << i)
            add(&words, sources[i], NULL);
    if (words.n == 0)
        add(&words, "something of its worker's", NULL);
    return text;
}

const char *picture_state_name(enum picture_state state)
{
    static const char *const names[] = {"runs", "waits", "not yet"};
    return names[state];
}

const char *picture_ended(const struct usp_channel *channel)
{
    return channel->ended & USP_POISONED ? "poisoned" : channel->ended ? "retired" : "";
}
