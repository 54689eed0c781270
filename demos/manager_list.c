/* A list that a manager owns, and two processes that use it: one inserts a record, the other prints them all.

   usage: manager_list */
#include <stdio.h>
#include <uvcsp.h>
#include <uvcsp/ipc.h>

#include "common.h"

PROCESS(insert_record, VAL(uvcsp_proxy, records), VAL(const char *, name), VAL(int, score))
{
    uvcsp_mlist_append(records, json_pack("[s,i]", name, score));
    printf("A New record is added\n\n");
}

PROCESS(print_records, VAL(uvcsp_proxy, records))
{
    json_t *all = NULL, *record;
    size_t i;
    if (uvcsp_proxy_copy(records, &all) != 0)
        return;
    json_array_foreach(all, i, record) {
        printf("Name: %s\n", json_string_value(json_array_get(record, 0)));
        printf("Score: %d\n\n", (int)json_integer_value(json_array_get(record, 1)));
    }
    json_decref(all);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 0, "usage: manager_list\n");
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    demo_expect(manager != NULL, "the manager has not started");
    uvcsp_proxy records = uvcsp_manager_list(
        manager, json_pack("[[s,i],[s,i],[s,i]]", "Computers", 1, "Histoty", 5, "Hindi", 9));
    int failed = PAR(insert_record(records, "English", 3));
    failed += PAR(print_records(records));
    uvcsp_manager_stop(manager);
    return failed;
}
