/* uvcsp-ps, run by a process of the program that it is to show. */
#include <sys/wait.h>
#include <unistd.h>
#include <uvcsp.h>
#include <uvcsp/json.h>

#include "tests/fixture.h"

/* ---- what it prints ---- */

struct run {
    char arguments[60];
    char text[60000];
    int status;
};

static void runs(void *arg)
{
    struct run *run = arg;
    char command[300];
    snprintf(command, sizeof command, UVCSP_PS " %s 2>&1", run->arguments);
    FILE *pipe = popen(command, "re");
    size_t n = pipe ? fread(run->text, 1, sizeof run->text - 1, pipe) : 0;
    run->text[n] = '\0';
    run->status = pipe ? WEXITSTATUS(pclose(pipe)) : -1;
}

static struct run output; /* each case is a program of its own */

static const char *ps(const char *options, int pid)
{
    if (pid)
        snprintf(output.arguments, sizeof output.arguments, "%s %d", options, pid);
    else
        snprintf(output.arguments, sizeof output.arguments, "%s", options);
    MUST(uvcsp_blocking(runs, &output) == 0);
    return output.text;
}

/* The JSON of this program, when `is_so` finds in it what it looks for. Others need a moment to
   come to where they wait. */
static json_t *picture(bool (*is_so)(json_t *))
{
    for (int tries = 0; tries < 2000; tries++) {
        json_t *seen = json_loads(ps("-j", getpid()), 0, NULL);
        ck_assert_msg(seen != NULL, "%s", output.text);
        if (is_so(seen))
            return seen;
        json_decref(seen);
    }
    ck_abort_msg("this is not shown: %s", output.text);
    return NULL;
}

static json_t *find(json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *each;
    json_array_foreach(list, i, each) if (strcmp(json_string_value(json_object_get(each, key)),
                                                 value) == 0) return each;
    return NULL;
}

static json_t *process_of(json_t *seen, const char *name)
{
    return find(json_object_get(seen, "processes"), "name", name);
}

static json_t *channel_of(json_t *seen, const char *name)
{
    return find(json_object_get(seen, "channels"), "name", name);
}

static long number(json_t *object, const char *key)
{
    return (long)json_integer_value(json_object_get(object, key));
}

static const char *word(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- networks ---- */

PROCESS(waits_to_read, IN(int, in))
{
    (void)READ(in);
}
PROCESS(waits_to_write, OUT(int, out))
{
    WRITE(out, 1);
}
PROCESS(waits_for_either, IN(int, a), OUT(int, b))
{
    int x;
    (void)ALT(ON_READ(a, &x), ON_WRITE(b, 2), ON_TIMEOUT(1000));
}

static bool reader_waits(json_t *seen)
{
    json_t *process = process_of(seen, "waits_to_read");
    return process && strcmp(word(process, "state"), "waits") == 0;
}

TEST(a_reader_in_another_worker_is_shown_with_its_place_and_its_channel)
{
    CHAN(int) c = CHANNEL(int, .name = "numbers");
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *reader = SPAWN(waits_to_read(c));
    json_t *seen = picture(reader_waits);
    json_t *process = process_of(seen, "waits_to_read");
    ck_assert_int_eq(number(process, "pid"), uvcsp_pid(reader));
    ck_assert_str_eq(word(process, "for"), "to read from channel 'numbers'");
    ck_assert_ptr_nonnull(strstr(word(process, "at"), "test_ps.c:"));
    json_t *channel = channel_of(seen, "numbers");
    ck_assert_int_eq(number(channel, "waiting_to_read"), 1);
    ck_assert_int_eq(number(channel, "waiting_to_write"), 0);
    ck_assert_int_eq(number(channel, "readers"), 1);
    ck_assert_int_eq(number(channel, "writers"), 1);
    ck_assert_ptr_nonnull(strstr(word(channel, "made_at"), "test_ps.c:"));
    json_t *offer = json_array_get(json_object_get(process, "offers"), 0);
    ck_assert_int_eq(number(offer, "channel"), number(channel, "id"));
    ck_assert_str_eq(word(offer, "side"), "read");
    json_decref(seen);
    WRITE(out, 1);
    uvcsp_join(reader, -1);
}

static bool writer_waits(json_t *seen)
{
    json_t *channel = channel_of(seen, "full");
    return channel && number(channel, "waiting_to_write") == 1;
}

TEST(a_full_buffer_and_who_waits_for_room_are_shown)
{
    CHAN(int) c = CHANNEL(int, .capacity = 2, .name = "full");
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    WRITE(out, 1);
    WRITE(out, 2);
    uvcsp_handle *writer = SPAWN(waits_to_write(c));
    json_t *seen = picture(writer_waits);
    json_t *channel = channel_of(seen, "full");
    ck_assert_int_eq(number(channel, "capacity"), 2);
    ck_assert_int_eq(number(channel, "buffered"), 2);
    ck_assert_int_eq(number(channel, "writers"), 2);
    ck_assert_str_eq(word(process_of(seen, "waits_to_write"), "for"), "to write to channel 'full'");
    json_decref(seen);
    (void)READ(in);
    uvcsp_join(writer, -1);
}

static bool choice_waits(json_t *seen)
{
    json_t *process = process_of(seen, "waits_for_either");
    return process && strcmp(word(process, "state"), "waits") == 0;
}

TEST(a_choice_is_shown_with_all_that_it_waits_for)
{
    CHAN(int) a = CHANNEL(int, .name = "a"), b = CHANNEL(int, .name = "b");
    OUT_END(int) out = OUT_OF(a);
    IN_END(int) in = IN_OF(b);
    uvcsp_handle *choice = SPAWN(waits_for_either(a, b));
    json_t *seen = picture(choice_waits);
    ck_assert_str_eq(word(process_of(seen, "waits_for_either"), "for"),
                     "to read from channel 'a', or to write to channel 'b', or a timer");
    json_decref(seen);
    (void)READ(in);
    (void)out;
    uvcsp_join(choice, -1);
}

TEST(poison_is_shown)
{
    CHAN(int) c = CHANNEL(int, .name = "bad");
    POISON(c);
    json_t *seen = json_loads(ps("-j", getpid()), 0, NULL);
    ck_assert_str_eq(word(channel_of(seen, "bad"), "ended"), "poisoned");
    json_decref(seen);
}

PROCESS(crowd, IN(int, in))
{
    IN_END(int) each[1000];
    for (int i = 0; i < 1000; i++)
        each[i] = in;
    CO_FOR(i, 1000, waits_to_read(each[i]));
}

TEST(a_thousand_that_do_the_same_are_one_line)
{
    CHAN(int) c = CHANNEL(int, .name = "crowded");
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *handle = SPAWN(crowd(c));
    for (int tries = 0; !strstr(ps("", getpid()), "\n   1000  ") && tries < 2000; tries++)
        continue;
    ck_assert_msg(strstr(output.text, "\n   1000  ") != NULL, "%s", output.text);
    ck_assert_msg(strstr(output.text, "to read from channel 'crowded'\n") != NULL, "%s",
                  output.text);
    for (int i = 0; i < 1000; i++)
        WRITE(out, i);
    uvcsp_join(handle, -1);
}

TEST(it_is_listed_among_the_programs_and_found_by_any_worker)
{
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *reader = SPAWN(waits_to_read(c));
    json_decref(picture(reader_waits));
    char line[80];
    snprintf(line, sizeof line, "%7d  test_ps", (int)getpid());
    ck_assert_msg(strstr(ps("", 0), line) != NULL, "%s", output.text);
    ck_assert_int_eq(output.status, 0);
    json_t *seen = json_loads(ps("-j", uvcsp_pid(reader)), 0, NULL);
    ck_assert_int_eq(number(seen, "pid"), getpid());
    json_decref(seen);
    WRITE(out, 1);
    uvcsp_join(reader, -1);
}

/* ---- refusals ---- */

TEST(a_process_that_is_none_or_does_not_use_the_library_is_refused)
{
    ck_assert_ptr_nonnull(strstr(ps("", 0x3ffffffe), "no such process"));
    ck_assert_int_eq(output.status, 1);
    pid_t plain = fork();
    if (plain == 0)
        for (execl("/bin/sleep", "sleep", "1000", NULL);;)
            _exit(1);
    for (int tries = 0; !strstr(ps("", plain), "no program that uses the library") && tries < 2000;)
        tries++; /* until it is another program */
    ck_assert_msg(strstr(output.text, "no program that uses the library") != NULL, "%s",
                  output.text);
    ck_assert_int_eq(output.status, 1);
    kill(plain, SIGKILL);
    waitpid(plain, NULL, 0);
}

TEST(bad_arguments_are_told)
{
    static const char *const bad[] = {"x", "12x", "-5 1", "0", "1 2", "-w 0 1", "-w x", "-w", "-z", "--z"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)ps(bad[i], 0);
        ck_assert_msg(output.status == 2 && output.text[0], "%s: %s", bad[i], output.text);
    }
    static const char *const asked[] = {"-h", "--help"};
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(strstr(ps(asked[i], 0), "usage: uvcsp-ps"));
        ck_assert_int_eq(output.status, 0);
    }
}

SUITE("ps", .after = uvcsp_shutdown, .seconds = 60)
