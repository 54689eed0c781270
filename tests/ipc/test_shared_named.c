/* Blocks with a name, between programs that are not related. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

/* ---- the other programs ---- */

struct other {
    pid_t pid;
    int to, from;
};

static char *hear(struct other *other, char line[100])
{
    size_t n = 0;
    while (n < 99 && read(other->from, &line[n], 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    return line;
}

static char name[40];

static struct other start(size_t size)
{
    int to[2], from[2];
    ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
    char text[32];
    snprintf(text, sizeof text, "%zu", size);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        execl(NAMED_USER, NAMED_USER, name, text, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    return (struct other){pid, to[1], from[0]};
}

static struct other opened(size_t size)
{
    struct other other = start(size);
    char line[100];
    ck_assert_str_eq(hear(&other, line), "open");
    return other;
}

static void say(struct other *other, char letter)
{
    ck_assert_int_eq(write(other->to, &letter, 1), 1);
}

static void tell(struct other *other, char letter, const char *expected)
{
    char line[100];
    say(other, letter);
    ck_assert_str_eq(hear(other, line), expected);
}

static void end(struct other *other, int signum)
{
    if (signum)
        kill(other->pid, signum);
    close(other->to);
    int status;
    ck_assert_int_eq(waitpid(other->pid, &status, 0), other->pid);
    if (!signum)
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(other->from);
}

static int names_in_shm(void)
{
    int n = 0;
    DIR *dir = opendir("/dev/shm");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += strstr(entry->d_name, "uvcsp") != NULL;
    if (dir)
        closedir(dir);
    return n;
}

static int before(void)
{
    snprintf(name, sizeof name, "test.%d", (int)getpid());
    return default_signals();
}

/* ---- cases ---- */

TEST(two_programs_share_a_block)
{
    struct other a = opened(4096), b = opened(4096), c = opened(0);
    tell(&a, 'r', "0");
    tell(&a, 'w', "written");
    tell(&b, 'r', "1");
    tell(&c, 'w', "written");
    tell(&a, 'r', "2");
    end(&a, 0); /* who made it goes; the others keep it, and others still find it */
    struct other d = opened(4096);
    tell(&d, 'r', "2");
    end(&d, 0);
    tell(&b, 'r', "2");
    end(&b, SIGKILL);
    tell(&c, 'r', "2");
    end(&c, 0);
    struct other e = opened(4096); /* all have gone, and it with them */
    tell(&e, 'r', "0");
    end(&e, 0);
}

TEST(nothing_is_left_when_all_were_killed)
{
    int there = names_in_shm();
    for (int round = 0; round < 5; round++) {
        struct other a = opened(4096), b = opened(4096);
        tell(&a, 'w', "written");
        tell(&b, 'r', "1");
        tell(&b, 'l', "UVCSP_OK");
        end(&a, SIGKILL);
        end(&b, SIGKILL);
        ck_assert_int_eq(names_in_shm(), there);
    }
    errno = 0;
    ck_assert_ptr_null(uvcsp_shared_open(name, 0));
    ck_assert_int_eq(errno, ENOENT);
}

TEST(another_size_is_refused_and_so_is_what_is_no_name)
{
    struct other a = opened(4096), b = start(8192);
    char line[100];
    ck_assert_str_eq(hear(&b, line), "refused");
    end(&b, 0);
    errno = 0;
    ck_assert_ptr_null(uvcsp_shared_open(name, 4095));
    ck_assert_int_eq(errno, EEXIST);
    end(&a, 0);
    static const char *const bad[] = {
        NULL,  "",     "a/b",
        "a b", "../x", "1234567890123456789012345678901234567890123456789012345678901"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        ck_assert_ptr_null(uvcsp_shared_open(bad[i], 1));
        ck_assert_int_eq(errno, EINVAL);
    }
}

TEST(programs_that_start_at_once_get_one_block, .seconds = 60)
{
    for (int round = 0; round < 5; round++) {
        struct other others[6];
        char line[100];
        for (int i = 0; i < 6; i++)
            others[i] = start(64);
        for (int i = 0; i < 6; i++)
            ck_assert_str_eq(hear(&others[i], line), "open");
        for (int i = 0; i < 6; i++)
            tell(&others[i], 'w', "written");
        tell(&others[0], 'r', "6");
        for (int i = 0; i < 6; i++)
            end(&others[i], i % 2 ? SIGKILL : 0);
    }
}

TEST(its_lock_excludes_other_programs, .seconds = 60)
{
    struct other a = opened(64), b = opened(64);
    char line[100];
    say(&a, 'i');
    say(&b, 'i');
    ck_assert_str_eq(hear(&a, line), "done");
    ck_assert_str_eq(hear(&b, line), "done");
    tell(&a, 'r', "20000");
    tell(&a, 'u', strerror(EPERM));
    end(&a, 0);
    end(&b, 0);
}

TEST(the_death_of_a_holder_is_told_to_another_program)
{
    struct other a = opened(64), b = opened(64);
    for (int round = 0; round < 3; round++) {
        char line[100];
        tell(&a, 'l', "UVCSP_OK");
        tell(&a, 'l', "UVCSP_OK");
        say(&b, 'l');
        end(&a, round == 1 ? 0 : SIGKILL);
        ck_assert_str_eq(hear(&b, line), "UVCSP_OWNER_DIED");
        tell(&b, 'u', "UVCSP_OK");
        a = opened(64);
    }
    end(&a, 0);
    end(&b, 0);
}

/* ---- in one program ---- */

PROCESS(adds, VAL(long *, p), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        LOCKED (p) {
            long seen = *p;
            if (i % 8 == 0)
                uvcsp_yield();
            *p = seen + 1;
        }
}

PROCESS(opens_by_name, VAL(int, n))
{
    long *p = uvcsp_shared_open(name, 64);
    MUST(p);
    for (int i = 0; i < n; i++)
        LOCKED (p)
            *p += 1;
}

TEST(the_workers_of_one_program_have_it_too, .times = PLACEMENTS, .seconds = 60)
{
    long *p = uvcsp_shared_open(name, 64), *again = uvcsp_shared_open(name, 0);
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_eq(p, again);
    ck_assert_uint_eq(COUNT_OF_SHARED(p), 64);
    ck_assert_int_eq(RUN(_i, adds(p, 100), adds(p, 100), opens_by_name(100)), 0);
    ck_assert_int_eq(*p, 300);
    ck_assert_int_eq(uvcsp_shared_free(again), 0);
    ck_assert_int_eq(*p, 300);
    ck_assert_int_eq(uvcsp_shared_free(p), 0);
    ck_assert_int_eq(uvcsp_shared_free(p), -EINVAL);
    ck_assert_ptr_null(uvcsp_shared_open(name, 0));
}

PROCESS(holds_it, VAL(long *, p), IN(int, in))
{
    LOCKED (p)
        (void)READ(in);
}

TEST(a_process_that_is_poisoned_inside_leaves_its_lock, .times = PLACEMENTS)
{
    long *p = uvcsp_shared_open(name, 64);
    CHAN(int) c = CHANNEL(int);
    POISON(c);
    ck_assert_int_eq(RUN(_i, holds_it(p, c)), 0);
    ck_assert_int_eq(uvcsp_shared_lock(p, 5), UVCSP_OWNER_DIED);
    ck_assert(uvcsp_locked_after_death(p));
    ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
    ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK);
} /* and main ends with it open and locked */

static void count(uv_handle_t *handle, void *arg)
{
    (void)handle;
    ++*(int *)arg;
}

TEST(who_opens_and_frees_without_waiting_leaves_no_heap_of_handles)
{
    for (int i = 0; i < 1000; i++) {
        char *p = uvcsp_shared_open(name, 64);
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(uvcsp_shared_free(p), 0);
    }
    int n = 0;
    uv_walk(uvcsp_loop(), count, &n);
    ck_assert_int_lt(n, 200);
}

SUITE("shared_named", .before = before, .after = uvcsp_shutdown, .seconds = 30)
