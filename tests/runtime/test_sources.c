/* All sources: in a new worker, and without memory. */
#include "tests/runtime/sources.h"

static void new_loop(void)
{
    uv_loop_t *own = calloc(1, sizeof *own);
    if (!own || uv_loop_init(own) < 0 || usp_sources_init(own) < 0)
        _exit(20);
    static uv_async_t alive; /* no source keeps a loop alive */
    if (uv_async_init(own, &alive, NULL) < 0)
        _exit(20);
    own->data = usp_sched.loop; /* stays reachable, for valgrind */
    usp_sched.loop = own;
}

TEST(a_signal_that_the_parent_watches_has_its_default_effect_in_a_worker)
{
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    pid_t pid = fork_worker();
    if (pid == 0) {
        raise(SIGUSR1);
        _exit(0);
    }
    int status = status_of(pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGUSR1);
    turn_the_loop();
    ck_assert(!usp_signal_take(SIGUSR1));
    raise(SIGUSR1);
    turn_the_loop();
    ck_assert(usp_signal_take(SIGUSR1));
}

TEST(a_worker_watches_a_signal_of_its_parent_for_itself)
{
    ck_assert_int_eq(usp_signal_arm(&main_task, 1, SIGUSR1), 0);
    pid_t pid = fork_worker();
    if (pid == 0) {
        new_loop();
        if (usp_signal_take(SIGUSR1) || usp_signal_watch(SIGUSR1) < 0)
            _exit(1);
        raise(SIGUSR1);
        uv_run(usp_loop(), UV_RUN_NOWAIT);
        _exit(usp_signal_take(SIGUSR1) ? 0 : 2);
    }
    ck_assert_int_eq(status_of(pid), 0);
    turn_the_loop();
    ck_assert_uint_eq(usp_commit_state(atomic_load(&main_task.commit)), USP_NONE);
    ck_assert(!usp_signal_take(SIGUSR1));
    raise(SIGUSR1);
    ck_assert_uint_eq(told(), 1);
}

static int n_theirs;

static void on_signal(uv_signal_t *handle, int signum)
{
    ck_assert_int_eq(signum, handle->signum);
    n_theirs++;
}

static void on_exit_of(uv_process_t *process, int64_t status, int signum)
{
    ck_assert_int_eq((int)status, 0);
    ck_assert_int_eq(signum, 0);
    uv_close((uv_handle_t *)process, NULL);
    n_theirs++;
}

TEST(a_worker_forgets_the_handles_of_the_program_and_of_libuv)
{
    static uv_signal_t theirs, closing;
    static uv_process_t process;
    char *args[] = {"true", NULL};
    uv_process_options_t options = {.file = "true", .args = args, .exit_cb = on_exit_of};
    ck_assert_int_eq(uv_spawn(usp_loop(), &process, &options), 0);
    ck_assert_int_eq(uv_signal_init(usp_loop(), &theirs), 0);
    ck_assert_int_eq(uv_signal_start(&theirs, on_signal, SIGUSR2), 0);
    ck_assert_int_eq(uv_signal_init(usp_loop(), &closing), 0);
    ck_assert_int_eq(uv_signal_start(&closing, on_signal, SIGUSR1), 0);
    uv_close((uv_handle_t *)&closing, NULL);
    pid_t pid = fork_worker();
    if (pid == 0) {
        if (disposition(SIGUSR2) != SIG_DFL || disposition(SIGCHLD) != SIG_DFL)
            _exit(1);
        new_loop();
        _exit(usp_signal_watch(SIGCHLD) < 0 ? 2 : 0);
    }
    ck_assert_int_eq(status_of(pid), 0);
    raise(SIGUSR2);
    while (n_theirs < 2)
        turn_the_loop();
    uv_close((uv_handle_t *)&theirs, NULL);
    turn_the_loop();
}

TEST(a_worker_has_timers_descriptors_and_events_of_its_own)
{
    int fds[2];
    make_pipe(fds);
    struct usp_event event = {0};
    int n = house_count_descriptors();
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 100), 0);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, fds[0], UV_READABLE), 0);
    ck_assert_int_eq(usp_event_arm(&main_task, 3, &event), 0);
    pid_t pid = fork_worker();
    if (pid == 0) {
        int own[2];
        if (house_count_descriptors() != n)
            _exit(3);
        main_task.fibre->sources = NULL;
        new_loop();
        if (pipe(own) < 0 || usp_timer_arm(&main_task, 1, 100) < 0 ||
            usp_fd_arm(&main_task, 2, fds[0], UV_READABLE) < 0 ||
            usp_fd_arm(&main_task, 3, own[0], UV_READABLE) < 0)
            _exit(1);
        usp_task_open(&main_task);
        put(own[1]);
        uv_run(usp_loop(), UV_RUN_ONCE);
        _exit(usp_commit_index(atomic_load(&main_task.commit)) == 3 ? 0 : 2);
    }
    ck_assert_int_eq(status_of(pid), 0);
    put(fds[1]);
    ck_assert_uint_eq(told(), 2);
    close(fds[0]);
    close(fds[1]);
}

/* Each generation uses the memory of those before it again. */
static void generations(int n)
{
    for (; n > 0; n--) {
        main_task.fibre->sources = NULL;
        new_loop();
        for (uint32_t i = 0; i < 6; i++) {
            if (usp_timer_arm(&main_task, i, 100) < 0 ||
                usp_signal_arm(&main_task, i, i % 2 ? SIGUSR1 : SIGUSR2) < 0)
                _exit(1);
            if ((int)i == n) /* so each has another number of free ones */
                usp_sources_disarm(&main_task);
        }
        pid_t pid = fork_worker();
        if (pid > 0)
            _exit(status_of(pid) == 0 ? 0 : 2);
    }
    _exit(0);
}

TEST(workers_of_workers_have_sources_too)
{
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 100), 0);
    pid_t pid = fork_worker();
    if (pid == 0)
        generations(6);
    ck_assert_int_eq(status_of(pid), 0);
    usp_sources_disarm(&main_task);
}


/* ---- without memory ---- */

TEST(without_memory_nothing_is_armed)
{
    struct usp_event one = {0};
    int fds[2], r[5];
    make_pipe(fds);
    inject_fail("malloc", INJECT_ALL, ENOMEM);
    r[0] = usp_timer_arm(&main_task, 0, 1);
    r[1] = usp_event_arm(&main_task, 0, &one);
    r[2] = usp_fd_arm(&main_task, 0, fds[0], UV_READABLE);
    r[3] = usp_signal_arm(&main_task, 0, SIGUSR1);
    inject_fail("malloc", 2, ENOMEM); /* there is memory for the watcher */
    r[4] = usp_signal_arm(&main_task, 0, SIGUSR2);
    inject_stop();
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(r[i], -ENOMEM);
    ck_assert_ptr_null(main_task.fibre->sources);
    ck_assert_ptr_null(one.waiting);
    put(fds[1]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, fds[0], UV_READABLE), 0);
    ck_assert_uint_eq(told(), 2);
    close(fds[0]);
    close(fds[1]);
}

TEST(without_memory_for_a_larger_table_nothing_is_armed)
{
    int fds[2];
    make_pipe(fds);
    inject_fail("realloc", 1, ENOMEM);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), -ENOMEM);
    inject_stop();
    int high = fcntl(fds[0], F_DUPFD, 500);
    ck_assert_int_eq(usp_fd_arm(&main_task, 1, fds[0], UV_READABLE), 0);
    inject_fail("realloc", 1, ENOMEM);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, high, UV_READABLE), -ENOMEM);
    inject_stop();
    ck_assert_int_eq(usp_fd_arm(&main_task, 3, high, UV_PRIORITIZED), 0);
    put(fds[1]);
    ck_assert_uint_eq(told(), 1);
    close(high);
    close(fds[0]);
    close(fds[1]);
}

TEST(a_failure_of_libuv_is_passed_on_and_nothing_is_armed)
{
    int fds[2];
    make_pipe(fds);
    int n = house_count_descriptors();
    atomic_int calls = 0;
    inject_fail("uv_poll_init", 1, ENOMEM);
    inject_fail("uv_queue_work", 1, ENOMEM);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), -ENOMEM);
    ck_assert_int_eq(house_count_descriptors(), n);
    ck_assert_int_eq(usp_blocking(add_one, &calls), -ENOMEM);
    ck_assert_int_eq(calls, 0);
    ck_assert_ptr_null(main_task.fibre->sources);
    inject_stop();
    ck_assert_int_eq(usp_blocking(add_one, &calls), 0);
    ck_assert_int_eq(calls, 1);
    close(fds[0]);
    close(fds[1]);
}

TEST(without_a_descriptor_for_epoll_nothing_is_armed)
{
    int fds[2];
    make_pipe(fds);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = (rlim_t)fds[1] + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    int r = usp_fd_arm(&main_task, 0, fds[0], UV_READABLE);
    setrlimit(RLIMIT_NOFILE, &old);
    ck_assert_int_eq(r, -EMFILE);
    ck_assert_ptr_null(main_task.fibre->sources);
    put(fds[1]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, fds[0], UV_READABLE), 0);
    ck_assert_uint_eq(told(), 2);
    close(fds[0]);
    close(fds[1]);
}

SUITE("sources", .before = before, .after = after)
