/* two_programs: a manager that two programs use, which are not related.

     first program                                        second program
       manager: jobs, sum, pen  <--socket, key--------->    by address and key alone
       its workers                                          its workers

   The second program is this one again, started by exec: it shares no memory, no descriptor and no
   ancestor's pointer with the first, it only knows an address and a key. Workers of both take jobs
   from one queue and add them to one sum; each addition is read, made and written in one request,
   so none is lost. Then a worker of the second program is killed while it holds a lock. The first
   gets the lock, and is told so. */
#include <signal.h>
#include <unistd.h>
#include <uvcsp/ipc.h>

#include "common.h"

static const char help[] =
    "usage: two_programs [jobs [workers]]\n"
    "\n"
    "Has two programs, with so many workers each (2), do so many jobs (1000) that a\n"
    "manager of the first one owns. What the library says of the death is on stderr.\n";

static uvcsp_proxy find(uvcsp_manager *manager, const char *name)
{
    uvcsp_proxy proxy;
    demo_expect(uvcsp_manager_find(manager, name, &proxy) == 0, uvcsp_call_error());
    return proxy;
}

PROCESS(work, VAL(uvcsp_manager *, manager))
{
    uvcsp_proxy jobs = find(manager, "jobs"), sum = find(manager, "sum");
    json_t *job;
    while (uvcsp_mqueue_get(jobs, &job, 0) == 0)
        demo_expect(uvcsp_proxy_update(sum, NULL, "add", job, NULL, NULL) == 0, uvcsp_call_error());
}

PROCESS(die_with, VAL(uvcsp_proxy, pen))
{
    demo_expect(uvcsp_mlock_acquire(pen, -1) == 0, "the pen can be had");
    kill(getpid(), SIGKILL);
}

/* ---- the second program ---- */

static int second_program(const char *address, int workers)
{
    char key[64];
    demo_expect(scanf("%63s", key) == 1, "the key is on standard input");
    uvcsp_manager *manager = uvcsp_manager_connect(address, key, 10);
    demo_expect(manager != NULL, "the manager can be reached");
    int failed = PAR_FOR(i, workers, work(manager));
    printf("the second program has worked, %d of its workers failed\n", failed);
    fflush(stdout);

    PAR(die_with(find(manager, "pen")));
    return failed;
}

/* ---- the first program ---- */

struct command {
    char text[512], key[64];
};

/* The key goes over standard input: a command line can be read by everybody. */
static void run_command(void *arg)
{
    struct command *command = arg;
    FILE *its_stdin = popen(command->text, "w");
    demo_expect(its_stdin != NULL, "a program can be started");
    fprintf(its_stdin, "%s\n", command->key);
    pclose(its_stdin);
}

PROCESS(run_second, VAL(struct command *, command))
{
    demo_expect(uvcsp_blocking(run_command, command) == 0, "there is a thread for it");
}

static int first_program(int n, int workers)
{
    struct command command;
    char path[256], address[64];
    unsigned long long secret[2];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    demo_expect(length > 0, "a program has a name");
    path[length] = '\0';
    snprintf(address, sizeof address, "two_programs-%d", (int)getpid());
    demo_expect(getentropy(secret, sizeof secret) == 0, "there are random numbers");
    snprintf(command.key, sizeof command.key, "%llx%llx", secret[0], secret[1]);
    snprintf(command.text, sizeof command.text, "exec '%s' --second '%s' %d", path, address,
             workers);

    uvcsp_manager *manager =
        uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = command.key});
    demo_expect(manager != NULL, "the manager has started");
    uvcsp_proxy jobs = uvcsp_manager_queue(manager, 0), pen = uvcsp_manager_lock(manager),
                sum = uvcsp_manager_value(manager, json_integer(0));
    for (int i = 1; i <= n; i++)
        demo_expect(uvcsp_mqueue_put(jobs, json_integer(i), -1) == 0, uvcsp_call_error());
    uvcsp_manager_publish(manager, "jobs", jobs);
    uvcsp_manager_publish(manager, "sum", sum);
    uvcsp_manager_publish(manager, "pen", pen);

    uvcsp_handle *second = GO(run_second(&command));
    int failed = PAR_FOR(i, workers, work(manager));
    uvcsp_join(second, -1);
    printf("the first program has worked, %d of its workers failed\n", failed);

    json_t *total = NULL;
    demo_expect(uvcsp_mvalue_get(sum, &total) == 0, uvcsp_call_error());
    long long right = (long long)n * (n + 1) / 2;
    printf("%d jobs are done, their sum is %lld\n", n, (long long)json_integer_value(total));
    demo_expect(json_integer_value(total) == right, "no addition is lost");
    json_decref(total);

    int status = uvcsp_mlock_acquire(pen, -1);
    printf("the pen of the dead worker: %s\n", uvcsp_status_name(status));
    demo_expect(status == UVCSP_OWNER_DIED, "who gets the pen is told");
    fprintf(stderr, "cause: %s\n", uvcsp_call_error());
    uvcsp_manager_stop(manager);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--second") == 0)
        return second_program(argv[2], atoi(argv[3]));
    demo_args(argc, argv, 2, help);
    int n = demo_size(argc, argv, 1, 1000, 0, 1000000);
    int workers = demo_size(argc, argv, 2, 2, 1, 100);
    return first_program(n, workers);
}
