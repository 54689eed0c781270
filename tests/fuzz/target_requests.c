/* Requests to a manager: every operation of every type with any arguments, one line each:

       OBJECT OPERATION ARGUMENTS      2 set_slice [0, null, 2, [1, 2]]

   Object 0 is the manager itself, the others are numbered as they were made; the input may have
   objects made, which live as long as it. An operation that would wait is told that the time is
   over. Each answer has to be one that can be decoded; what is said about an error is not empty. */
#include <errno.h>
#include <jansson.h>

#include "ipc/manager.h"
#include "tests/fuzz/fuzz.h"

/* In the place of manager_wait.c's, which would wait. */
int __wrap_usp_wait_in(struct usp_object *object, struct usp_request *request, int what,
                       double seconds, struct usp_waiter *waiter);
int __wrap_usp_wait_in(struct usp_object *object, struct usp_request *request, int what,
                       double seconds, struct usp_waiter *waiter)
{
    (void)object;
    (void)what;
    (void)waiter;
    return usp_fail(request, seconds == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT, "it does not wait");
}

static const char *const types[] = {
    "list",  "dict",      "namespace",         "value", "array",     "set",    "queue", "lock",
    "rlock", "semaphore", "bounded_semaphore", "event", "condition", "barrier"};
static const char *const makings[] = {"[[1, 2.5, \"x\", null]]",
                                      "[{\"a\": 1}]",
                                      "[{\"b\": []}]",
                                      "[7]",
                                      "[\"i\", [1, 2, 3]]",
                                      "[[1, 2]]",
                                      "[2]",
                                      "[]",
                                      "[]",
                                      "[1]",
                                      "[1]",
                                      "[]",
                                      "[]",
                                      "[2]"};

static void check_answer(const struct usp_session *session)
{
    int32_t status;
    const char *at = session->line.packet.data, *end = at + session->line.packet.size;
    MUST(session->line.packet.size > sizeof status);
    memcpy(&status, at, sizeof status);
    at += sizeof status;
    json_t *value = usp_decode(&at, end);
    MUST(value && at == end);
    MUST(status == 0 || (json_is_string(value) && json_string_length(value) > 0));
    json_decref(value);
}

static void ask(struct usp_session *session, uint64_t id, const char *op, const json_t *args)
{
    struct usp_packet packet = {0};
    unsigned char length = (unsigned char)strlen(op);
    usp_packet_put(&packet, &id, sizeof id);
    usp_packet_put(&packet, &length, 1);
    usp_packet_put(&packet, op, length);
    usp_encode(&packet, args);
    if (packet.error == 0) {
        int rc = usp_serve(session, packet.data, packet.size);
        MUST(rc == 0);
        check_answer(session);
        usp_session_taken(session);
    }
    usp_packet_free(&packet);
}

static void ask_line(struct usp_session *session, char *line)
{
    unsigned long id;
    char op[64];
    int n = 0;
    if (sscanf(line, "%lu %63s %n", &id, op, &n) < 2 || n == 0)
        return;
    json_t *args = json_loads(line + n, JSON_DECODE_ANY, NULL);
    if (args)
        ask(session, id, op, args);
    json_decref(args);
}

/* A list that is multiplied again and again outgrows any machine; that is not what is looked for
 * here. */
static bool is_modest(const char *line, int *growths)
{
    size_t digits = 0;
    if (!strstr(line, "repeat") && !strstr(line, "multiply"))
        return true;
    for (; *line; line++) {
        digits = (*line >= '0' && *line <= '9') ? digits + 1 : 0;
        if (digits > 2)
            return false;
    }
    return ++*growths <= 3; /* times 99 each */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    static struct uvcsp_manager itself = {.magic = USP_MANAGER_MAGIC, .token = 1};
    struct usp_server *server = usp_server_new(&itself, &(uvcsp_manager_options){.name = "fuzz"});
    struct usp_session *session = server ? usp_session_new(server, "target") : NULL;
    MUST(session);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        json_t *args = json_pack("[s,o]", types[i], json_loads(makings[i], 0, NULL));
        ask(session, 0, "create", args);
        json_decref(args);
    }
    char *text = malloc(size + 1);
    MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    char *rest = text;
    int growths = 0;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (is_modest(line, &growths))
            ask_line(session, line);
    free(text);
    usp_session_end(session, NULL);
    usp_server_unref(server);
    return 0;
}
