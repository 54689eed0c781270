/* Dynamic values as bytes: in messages, and on their way to a manager and back. Both sides run on one machine, so numbers are in its
   own order of bytes. Shorter to write and to read than text, and exact for reals.

     n t f    null, true, false
     b i d    1 byte of an integer, 8 bytes of one, 8 of a real
     c s S    1, 4, 8 bytes of length, text
     v a      1, 4 bytes of count, elements
     m o      the same of an object: a string and a value each */
#ifndef USP_CHANNELS_VALUE_H
#define USP_CHANNELS_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct usp_packet {
    char *data;
    size_t size, room;
    int error;   /* the first: -ENOMEM, -EINVAL */
    int deeper;  /* values may be nested so much more than USP_VALUE_DEPTH */
    bool strict; /* text that is not UTF-8 is refused here, and not where it is read */
    char *fixed; /* where a short one lies; NULL: in memory of its own */
    size_t fixed_room;
};
#define USP_VALUE_DEPTH 100
#define USP_DEEPER 8 /* of an answer: what was put in, and the objects around it */
/* Empty again. Memory that it had for a long one is given back. */
void usp_packet_reset(struct usp_packet *buffer);
void usp_packet_put(struct usp_packet *buffer, const void *data, size_t size);
void usp_packet_free(struct usp_packet *buffer);
/* Appends a value; the head of an array whose `n` elements follow. */
void usp_encode(struct usp_packet *buffer, const json_t *value);
void usp_encode_array(struct usp_packet *buffer, size_t n);
/* A new reference; NULL for what is no value, or without memory. `*atp` moves on. */
json_t *usp_decode(const char **atp, const char *end);
/* The head of an array; false: it is none, or longer than what is there. */
bool usp_decode_array(const char **atp, const char *end, size_t *np);

/* A message: nested as deep as Jansson reads, and whole. */
void usp_encode_message(struct usp_packet *buffer, const json_t *value);
json_t *usp_decode_message(const void *data, size_t size);

#endif
