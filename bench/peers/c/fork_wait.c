/* fork_wait: bare fork and waitpid, microseconds for each. */
#include <sys/wait.h>
#include <unistd.h>

#include "../../common.h"

int main(void)
{
    struct bench bench = bench_begin();
    do {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            return 1;
    } while (bench_goes_on(&bench, 1));
    bench_tell("fork-wait", bench_ns(&bench) / 1e3, "us");
    return 0;
}
