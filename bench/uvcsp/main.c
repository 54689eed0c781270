/* bench_uvcsp CASE...: runs cases of uvcsp, each for a moment, and prints a line for each.
   `../cases` has them all; any number will do at the end of a name that has one. */
#include "bench.h"

int main(int argc, char **argv)
{
    const struct bench_kind *const all[] = {
        communication_kinds, choice_kinds,  processes_kinds, memory_kinds,  workers_kinds,
        meeting_kinds,       forking_kinds, ipc_kinds,       manager_kinds,
    };
    for (int i = 1; i < argc; i++) {
        size_t k = 0, n = sizeof all / sizeof all[0];
        while (k < n && !bench_run(all[k], argv[i]))
            k++;
        if (k == n)
            return bench_no_such_case(argv[i]);
    }
    return 0;
}
