/* The objects of a manager: their types, the table in which they are found by number, and the operations of the
   manager itself, which make, free and name them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"

static const struct usp_object_type *const types[] = {
    &usp_type_list, &usp_type_dict, &usp_type_namespace, &usp_type_value, &usp_type_array, &usp_type_set,
    &usp_type_queue, &usp_type_lock, &usp_type_rlock, &usp_type_semaphore, &usp_type_bounded_semaphore,
    &usp_type_event, &usp_type_condition, &usp_type_barrier, &usp_type_pool};

static const struct usp_object_type *type_of(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i]->name, name) == 0)
            return types[i];
    return NULL;
}

bool usp_is_built_in(const char *name)
{
    return type_of(name) != NULL;
}

/* ---- objects ---- */

struct usp_object *usp_object_of(const struct usp_server *server, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    struct usp_object *object = place < server->n_places ? server->places[place].object : NULL;
    return object && object->id == id ? object : NULL;
}

/* A free place; 0: no memory. */
static uint32_t take_place(struct usp_server *server)
{
    uint32_t place = server->free_place;
    if (place != 0) {
        server->free_place = server->places[place].next;
        return place;
    }
    if (server->n_places == server->room) {
        uint32_t room = server->room ? 2 * server->room : 64;
        struct usp_place *grown = room > server->room ? realloc(server->places, room * sizeof *grown) : NULL;
        if (!grown)
            return 0;
        server->places = grown;
        server->room = room;
        if (server->n_places == 0)
            server->places[server->n_places++] = (struct usp_place){NULL, 0, 0};
    }
    server->places[server->n_places] = (struct usp_place){NULL, 0, 0};
    return server->n_places++;
}

/* Numbers above are used up after 2^31 objects; the place stays empty then. */
static void give_place(struct usp_server *server, uint32_t number)
{
    struct usp_place *place = &server->places[number];
    place->object = NULL;
    if (place->used == INT32_MAX)
        return;
    place->used++;
    place->next = server->free_place;
    server->free_place = number;
}

int usp_object_add(struct usp_server *server, struct usp_object *object)
{
    uint32_t place = take_place(server);
    if (place == 0)
        return -ENOMEM;
    server->places[place].object = object;
    object->id = (uint64_t)server->places[place].used << 32 | place;
    if (!object->type->left)
        return 0;
    object->next_watching = server->watching;
    if (server->watching)
        server->watching->prev_watching = object;
    server->watching = object;
    return 0;
}

void usp_object_delete(struct usp_object *object)
{
    if (object->type->destroy)
        object->type->destroy(object);
    json_decref(object->value);
    free(object);
}

void usp_object_free(struct usp_object *object)
{
    struct usp_server *server = object->server;
    give_place(server, (uint32_t)object->id);
    if (object->type->left) {
        if (object->prev_watching)
            object->prev_watching->next_watching = object->next_watching;
        else
            server->watching = object->next_watching;
        if (object->next_watching)
            object->next_watching->prev_watching = object->prev_watching;
    }
    object->freed = true;
    if (object->type->freed)
        object->type->freed(object);
    usp_object_drop_waiters(object);
    if (object->pins == 0)
        usp_object_delete(object);
}

/* ---- the manager's own operations ---- */

static int create(struct usp_server *server, struct usp_request *request)
{
    const char *name;
    int rc = usp_arg_string(request, 0, &name);
    if (rc == 0)
        rc = usp_arg_array(request, 1);
    if (rc)
        return rc;
    const struct usp_object_type *type = type_of(name);
    const struct uvcsp_manager_type *own = type ? NULL : usp_own_type(name);
    if (!type && !own)
        return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "no type is called '%s'", name);
    type = type ? type : &usp_type_own;
    struct usp_object *object = calloc(1, type->size);
    if (!object)
        return -ENOMEM;
    object->type = type;
    object->server = server;
    request->args = usp_arg(request, 1);
    request->argv = NULL;
    request->n = json_array_size(request->args);
    rc = own ? usp_own_create(object, own, request) : type->create(object, request);
    if (rc == 0) {
        rc = usp_object_add(server, object);
        if (rc == 0)
            return usp_give(request, json_integer((json_int_t)object->id));
        usp_object_delete(object);
        return rc;
    }
    json_decref(object->value);
    free(object);
    return rc;
}

static int free_one(struct usp_server *server, struct usp_request *request)
{
    json_int_t id = 0;
    int rc = usp_arg_integer(request, 0, &id);
    if (rc)
        return rc;
    struct usp_object *object = usp_object_of(server, (uint64_t)id);
    if (!object)
        return usp_fail(request, UVCSP_NO_SUCH_OBJECT, "it was freed before, or there never was one");
    usp_object_free(object);
    return 0;
}

static int publish(struct usp_server *server, struct usp_request *request)
{
    const char *name;
    json_int_t id = 0;
    int rc = usp_arg_string(request, 0, &name);
    if (rc == 0)
        rc = usp_arg_integer(request, 1, &id);
    if (rc)
        return rc;
    if (id == 0)
        return json_object_del(server->published, name) == 0
                   ? 0 : usp_fail(request, UVCSP_KEY_ERROR, "nothing is published as '%s'", name);
    if (!usp_object_of(server, (uint64_t)id))
        return usp_fail(request, UVCSP_NO_SUCH_OBJECT, "the object was freed");
    return json_object_set_new(server->published, name, json_integer(id)) == 0 ? 0 : -ENOMEM;
}

static int find_published(struct usp_server *server, struct usp_request *request)
{
    const char *name;
    int rc = usp_arg_string(request, 0, &name);
    if (rc)
        return rc;
    json_t *id = json_object_get(server->published, name);
    if (!id || !usp_object_of(server, (uint64_t)json_integer_value(id)))
        return usp_fail(request, UVCSP_KEY_ERROR, "nothing is published as '%s'", name);
    return usp_give(request, json_incref(id));
}

int usp_manager_run(struct usp_server *server, const char *op, struct usp_request *request)
{
    if (strcmp(op, "create") == 0)
        return create(server, request);
    if (strcmp(op, "free") == 0)
        return free_one(server, request);
    if (strcmp(op, "publish") == 0)
        return publish(server, request);
    if (strcmp(op, "find") == 0)
        return find_published(server, request);
    if (strcmp(op, "token") == 0)
        return usp_give(request, json_integer((json_int_t)server->manager->token));
    return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "a manager has no operation '%s'", op);
}
