/* What must not be taken for a deadlock: as long as one of these may happen, nothing is told. Each of them goes on
   until it has been looked for deadlocks some times, or for a while where nobody looks. */
#include <pthread.h>
#include <sys/mman.h>

#include "tests/deadlock/deadlock.h"

PROCESS(reads, IN(int, in))
{
    for (;;)
        (void)READ(in);
}

PROCESS(sleeps, OUT(int, out))
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    WRITE(out, 1);
}

TEST(a_process_that_sleeps)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(sleeps(c), passes_on(c, d), reads(d)));
}

PROCESS(waits_with_timeout, OUT(int, out), IN(int, in))
{
    int x;
    for (struct looks looks = some_looks(); more(&looks);)
        ck_assert_int_eq(uvcsp_read_timeout(in, &x, 0.02), UVCSP_TIMEOUT);
    for (struct looks looks = some_looks(); more(&looks);)
        ck_assert_int_eq(ALT(ON_READ(in, &x), ON_TIMEOUT(0.02)), 1);
    WRITE(out, 1);
}

TEST(a_timer)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(waits_with_timeout(c, d), passes_on(c, d)));
}

PROCESS(computes, OUT(int, out))
{
    for (struct looks looks = some_looks(); more(&looks);)
        ;
    WRITE(out, 1);
}

TEST(a_child_that_computes)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(computes(c), passes_on(c, d), reads(d)));
}

PROCESS(has_a_child_that_computes, OUT(int, out))
{
    ck_assert_int_eq(PAR(computes(out)), 0);
}

TEST(a_parent_of_a_child_that_computes)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(has_a_child_that_computes(c), passes_on(c, d), reads(d)));
}

PROCESS(joins_what_computes, OUT(int, out))
{
    uvcsp_handle *one = SPAWN(computes(out)), *two = GO(sleeps(out));
    (void)ALT(ON_ENDED(one), ON_ENDED(two));
    ck_assert_int_eq(uvcsp_join(one, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_join(two, -1), UVCSP_OK);
    WRITE(out, 2);
}

TEST(handles_of_processes_that_have_hope)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(joins_what_computes(c), passes_on(c, d), reads(d)));
}

static void *writes_later(void *arg)
{
    struct looks looks = some_looks();
    for (looks.left = 1, looks.deadline -= 3; more(&looks);)
        usleep(10000);
    if (write(*(int *)arg, "x", 1) != 1)
        abort();
    return NULL;
}

PROCESS(waits_for_descriptor, OUT(int, out))
{
    int fds[2];
    char x;
    pthread_t thread;
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, writes_later, &fds[1]), 0);
    ck_assert_int_eq(ALT(ON_FD(fds[0], UV_READABLE)), 0);
    ck_assert_int_eq(read(fds[0], &x, 1), 1);
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    WRITE(out, 1);
}

TEST(a_descriptor)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(waits_for_descriptor(c), passes_on(c, d), reads(d)));
}

/* It has been sent a signal that will end it; that it has not ended yet is a matter of time. (It is stopped, or it would
   have.) */
PROCESS(will_end, IN(int, in), OUT(int, out), VAL(_Atomic unsigned *, worker))
{
    signal(SIGTERM, SIG_DFL); /* Check's handler ends the whole group */
    *worker = usp_worker_index();
    WRITE(out, READ(in));
}

static void *kills_later(void *arg)
{
    _Atomic unsigned *worker = arg;
    while (*worker == 0 || !atomic_load(&usp_worker_of(*worker)->sleeping))
        usleep(1000);
    pid_t pid = usp_worker_of(*worker)->pid;
    kill(pid, SIGSTOP);
    kill(pid, SIGTERM);
    for (struct looks looks = some_looks(); more(&looks);)
        usleep(10000);
    kill(pid, SIGCONT);
    return NULL;
}

TEST(a_worker_whose_death_is_pending)
{
    if (house_light())
        return;
    _Atomic unsigned *worker = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(worker, MAP_FAILED);
    pthread_t thread;
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    house_capture(2);
    ck_assert_int_eq(pthread_create(&thread, NULL, kills_later, worker), 0);
    int failed = PAR(will_end(c, d, worker), passes_on(d, c));
    pthread_join(thread, NULL);
    char *said = house_captured();
    ck_assert_msg(failed == 1 && !strstr(said, "deadlock"), "%d: %s", failed, said);
    free(said);
    munmap((void *)worker, 4096);
}

static void *signals_later(void *arg)
{
    struct looks looks = some_looks();
    for (looks.left = 1, looks.deadline -= 3; more(&looks);)
        usleep(10000);
    kill(*(pid_t *)arg, SIGUSR1);
    return NULL;
}

PROCESS(waits_for_signal, OUT(int, out), IN(int, in))
{
    int x;
    pid_t pid = getpid();
    pthread_t thread;
    ck_assert_int_eq(ALT(ON_SIGNAL(SIGUSR1), ON_SKIP), 1); /* its default effect is off from here on */
    ck_assert_int_eq(pthread_create(&thread, NULL, signals_later, &pid), 0);
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_SIGNAL(SIGUSR1)), 1);
    pthread_join(thread, NULL);
    WRITE(out, 1);
}

TEST(a_signal)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(waits_for_signal(c, d), passes_on(c, d)));
}

static void sleeps_outside(void *arg)
{
    (void)arg;
    usleep(600000);
}

PROCESS(waits_for_a_thread, OUT(int, out))
{
    ck_assert_int_eq(uvcsp_blocking(sleeps_outside, NULL), 0);
    WRITE(out, 1);
}

TEST(a_call_on_the_thread_pool)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(waits_for_a_thread(c), passes_on(c, d), reads(d)));
}

static OUT_END(int) end_of_callback;
static struct looks looks_of_callback;

static void by_callback(uv_timer_t *timer)
{
    if (more(&looks_of_callback))
        return;
    ck_assert_int_eq(uvcsp_write_try(end_of_callback, &(int){1}), UVCSP_OK);
    uv_close((uv_handle_t *)timer, NULL);
}

/* It waits for its own child, which waits for what a callback will write. */
PROCESS(has_the_loop, IN(int, in), OUT(int, out))
{
    static uv_timer_t timer;
    uv_timer_init(uvcsp_loop(), &timer);
    looks_of_callback = some_looks();
    end_of_callback = out;
    uv_timer_start(&timer, by_callback, 20, 20);
    (void)READ(in);
}

TEST(a_handle_of_the_programs)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int, .capacity = 1);
    QUIET(PAR(has_the_loop(d, c), passes_on(c, d)));
}

/* An end that lies in a buffer is nobody's. */
PROCESS(sends_its_end, OUT(uvcsp_end, out), OUT(int, mine))
{
    uvcsp_end end = MOBILE(mine);
    WRITE(out, end);
}

PROCESS(takes_it_later, IN(uvcsp_end, in))
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    uvcsp_end end = READ(in);
    OUT_END(int) out = AS_OUT(int, end);
    WRITE(out, 1);
}

TEST(a_mobile_end_in_a_buffer)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    CHAN(uvcsp_end) m = CHANNEL(uvcsp_end, .capacity = 1);
    QUIET(PAR(sends_its_end(m, c), takes_it_later(m), passes_on(c, d), reads(d)));
}

TEST(a_mobile_end_on_offer)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    CHAN(uvcsp_end) m = CHANNEL(uvcsp_end);
    QUIET(PAR(sends_its_end(m, c), takes_it_later(m), passes_on(c, d), reads(d)));
}

typedef CHAN(int) replies;
struct question { int x; replies to; };

PROCESS(asks, OUT(struct question, out))
{
    replies to = CHANNEL(int);
    IN_END(int) in = IN_OF(to);
    for (int i = 1; i < 3; i++) {
        WRITE(out, (struct question){i, to});
        MUST(READ(in) == -i);
    }
}

PROCESS(answers_later, IN(struct question, in))
{
    struct question first = READ(in);
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    OUT_END(int) out = OUT_OF(first.to);
    WRITE(out, -first.x);
    WRITE(out, -READ(in).x);
}

TEST(an_answer_to_a_channel_that_came_in_a_message)
{
    CHAN(struct question) c = CHANNEL(struct question);
    QUIET(PAR(asks(c), answers_later(c)));
    QUIET(CO(asks(c), answers_later(c)));
}

static replies global;

PROCESS(knows_a_global)
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    OUT_END(int) out = OUT_OF(global);
    WRITE(out, 1);
}

static int wait_for_global(void)
{
    global = CHANNEL(int);
    IN_END(int) in = IN_OF(global);
    uvcsp_handle *handle = SPAWN(knows_a_global());
    int x = READ(in), rc = uvcsp_join(handle, -1);
    uvcsp_handle_free(handle);
    return x != 1 || rc != UVCSP_OK;
}

TEST(somebody_who_knows_a_channel_by_a_global_variable)
{
    QUIET(wait_for_global());
}

PROCESS(reads_and_ends, IN(int, in))
{
    (void)READ(in);
}

struct network { replies c; };

PROCESS(knows_a_structure, VAL(struct network *, network))
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    OUT_END(int) out = OUT_OF(network->c);
    WRITE(out, 1);
}

TEST(somebody_who_knows_a_channel_by_a_structure_and_has_not_made_his_end_yet)
{
    static struct network network;
    network.c = CHANNEL(int);
    QUIET(PAR(reads(network.c), knows_a_structure(&network)));
}

static OUT_END(int) known_end;

PROCESS(knows_an_end)
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    WRITE(known_end, 1);
}

static int waits_for_who_knows_its_end(void)
{
    CHAN(int) c = CHANNEL(int);
    known_end = OUT_OF(c);
    uvcsp_handle *handle = GO(knows_an_end());
    int rc = PAR(reads_and_ends(c));
    return uvcsp_join(handle, -1) != UVCSP_OK ? -1 : rc;
}

TEST(somebody_of_the_same_worker_who_knows_an_end)
{
    QUIET(waits_for_who_knows_its_end());
}

PROCESS(holds_the_same_side, IN(int, in), IN(int, other))
{
    (void)other;
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    POISON(in);
}

TEST(whoever_might_poison_what_they_wait_for)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(holds_the_same_side(c, d), passes_on(c, d), passes_on(d, c)));
}

/* A worker sends and receives all the time; its messages are on their way at any moment. */
PROCESS(sends_much, OUT(uvcsp_bytes, out), IN(int, back))
{
    static char large[300000];
    for (struct looks looks = some_looks(); more(&looks);) {
        WRITE(out, ((uvcsp_bytes){large, sizeof large}));
        (void)READ(back);
    }
}

PROCESS(receives_much, IN(uvcsp_bytes, in), OUT(int, back))
{
    for (;;) {
        uvcsp_bytes bytes = READ(in);
        free(bytes.data);
        WRITE(back, 1);
    }
}

TEST(messages_on_their_way)
{
    CHAN(uvcsp_bytes) a = CHANNEL(uvcsp_bytes), b = CHANNEL(uvcsp_bytes, .carrier = UVCSP_SHARED);
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(sends_much(a, c), receives_much(a, c), sends_much(b, d), receives_much(b, d)));
}

/* Workers come and go; others wait for what the last of them will bring. */
PROCESS(writes_one, OUT(int, out), VAL(int, x))
{
    WRITE(out, x);
}

PROCESS(starts_others, OUT(int, out))
{
    for (struct looks looks = some_looks(); more(&looks);) {
        CHAN(int) c = CHANNEL(int);
        int x = PAR(writes_one(c, 1), reads(c));
        ck_assert_int_eq(x, 0);
        uvcsp_channel_free(c);
    }
    WRITE(out, 1);
}

TEST(workers_that_come_and_go)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    QUIET(PAR(starts_others(c), passes_on(c, d), reads(d)));
}

SUITE("hope", .after = uvcsp_shutdown)
