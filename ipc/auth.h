/* Mutual proof that both sides know a key.

       server  "uvcsp\1", a random challenge
       client  "uvcsp\1", a random challenge, HMAC-SHA256(key, "client", both challenges)
       server  1, HMAC-SHA256(key, "server", both challenges); or 0 and zeroes, if that of the
   client is wrong

   The word in front keeps an answer of one side from being used as one of the other; the server
   proves nothing before the client has. All three are of fixed length, so nothing is allocated for
   a stranger. */
#ifndef USP_IPC_AUTH_H
#define USP_IPC_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USP_AUTH_MAGIC "uvcsp\1"

struct usp_auth_hello { /* all of them are bytes alone: no padding */
    uint8_t magic[6];
    uint8_t challenge[32];
};
struct usp_auth_proof {
    uint8_t magic[6];
    uint8_t challenge[32];
    uint8_t mac[32];
};
struct usp_auth_answer {
    uint8_t good;
    uint8_t mac[32];
};

/* 0 or -errno: no random numbers. */
int usp_auth_hello(struct usp_auth_hello *hello);
/* The client's part. 0; -EPROTO: the server speaks something else; -errno. */
int usp_auth_prove(const char *key, const struct usp_auth_hello *hello,
                   struct usp_auth_proof *proof);
/* The server's: is the proof good? The answer is to be sent either way. -EPROTO, -EKEYREJECTED. */
int usp_auth_answer(const char *key, const struct usp_auth_hello *hello,
                    const struct usp_auth_proof *proof, struct usp_auth_answer *answer);
/* The client's: 0 or -EKEYREJECTED. */
int usp_auth_check(const char *key, const struct usp_auth_hello *hello,
                   const struct usp_auth_proof *proof, const struct usp_auth_answer *answer);

/* Does a process of this user, or of root, sit at the other end of a connected socket? 0, -EACCES,
 * -errno. */
int usp_auth_peer(int fd, int *pidp);

#endif
