/* Dynamic values: CHAN(json_t *), by Jansson. A value is deep-copied on its way; what is written stays
   the writer's reference, what is read is a new reference, the reader's (json_decref). NULL may be
   written, and is read as NULL. (uvcsp_queue_put() and uvcsp_conn_send() refuse it.) */
#ifndef UVCSP_JSON_H
#define UVCSP_JSON_H

#include <jansson.h>
#include <uvcsp.h>

#endif
