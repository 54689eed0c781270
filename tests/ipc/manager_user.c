/* Another program, which uses a manager: manager_user ADDRESS KEY [HOW]. It finds the list 'jobs', adds to it, and takes a lock 'lock'; then it returns, or
   with HOW it dies with the lock. Its own processes use the manager as well. */
#include <stdio.h>
#include <stdlib.h>
#include <uvcsp.h>
#include <uvcsp/ipc.h>

#define MUST(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s: %s\n", #condition, uvcsp_call_error()), exit(1)))

PROCESS(adds, VAL(uvcsp_proxy, jobs), VAL(int, i))
{
    if (uvcsp_mlist_append(jobs, json_integer(i)) != 0)
        abort();
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    uvcsp_manager *m = uvcsp_manager_connect(argv[1], argv[2], 10);
    if (!m)
        return 3;
    uvcsp_proxy jobs, lock, same;
    MUST(uvcsp_manager_find(m, "jobs", &jobs) == 0);
    MUST(uvcsp_manager_find(m, "lock", &lock) == 0);
    MUST(uvcsp_manager_find(m, "nothing", &same) == UVCSP_KEY_ERROR);
    MUST(uvcsp_mlist_append(jobs, json_string("from another program")) == 0);
    json_t *proxy = uvcsp_proxy_json(jobs);
    MUST(uvcsp_proxy_of(m, proxy, &same) == 0 && same.id == jobs.id);
    json_decref(proxy);
    int failed = PAR(adds(jobs, 1), adds(jobs, 2));
    MUST(uvcsp_mlock_acquire(lock, 10) == 0);
    if (argc > 3)
        abort();
    MUST(uvcsp_mlock_release(lock) == 0);
    MUST(uvcsp_manager_stop(m) == 0);
    return failed;
}
