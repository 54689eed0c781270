/* Attributes that a manager owns, changed by another process: each change is read, made and written in one request, so none is
   lost however many processes do so.

   usage: namespace */
#include <stdio.h>
#include <stdlib.h>
#include <uvcsp.h>
#include <uvcsp/ipc.h>

#include "common.h"

PROCESS(change, VAL(uvcsp_proxy, ns))
{
    uvcsp_proxy_update(ns, json_string("x"), "add", json_integer(5), NULL, NULL);
    uvcsp_proxy_update(ns, json_string("y"), "mul", json_integer(10), NULL, NULL);
}

static void print(const char *when, uvcsp_proxy ns)
{
    char *text = uvcsp_proxy_str(ns);
    printf("%s %s\n", when, text ? text : uvcsp_call_error());
    free(text);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 0, "usage: namespace\n");
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    demo_expect(manager != NULL, "the manager has not started");
    uvcsp_proxy ns = uvcsp_manager_namespace(manager, json_pack("{s:i, s:i}", "x", 1, "y", 1));
    print("before", ns);
    int failed = PAR(change(ns));
    print("after", ns);
    uvcsp_manager_stop(manager);
    return failed;
}
