#include "ipc/auth.h"

#include <errno.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

static void mac_of(const char *key, const char *role, const uint8_t *server, const uint8_t *client,
                   uint8_t *mac)
{
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, strlen(key), (const uint8_t *)key);
    hmac_sha256_update(&context, strlen(role), (const uint8_t *)role);
    hmac_sha256_update(&context, 32, server);
    hmac_sha256_update(&context, 32, client);
    hmac_sha256_digest(&context, SHA256_DIGEST_SIZE, mac);
    explicit_bzero(&context, sizeof context);
}

static int challenge(uint8_t *bytes)
{
    ssize_t n;
    do {
        n = getrandom(bytes, 32, 0);
    } while (n < 0 && errno == EINTR);
    return n == 32 ? 0 : n < 0 ? -errno : -EIO;
}

int usp_auth_hello(struct usp_auth_hello *hello)
{
    memcpy(hello->magic, USP_AUTH_MAGIC, sizeof hello->magic);
    return challenge(hello->challenge);
}

int usp_auth_prove(const char *key, const struct usp_auth_hello *hello,
                   struct usp_auth_proof *proof)
{
    if (memcmp(hello->magic, USP_AUTH_MAGIC, sizeof hello->magic) != 0)
        return -EPROTO;
    memcpy(proof->magic, USP_AUTH_MAGIC, sizeof proof->magic);
    int rc = challenge(proof->challenge);
    if (rc == 0)
        mac_of(key, "client", hello->challenge, proof->challenge, proof->mac);
    return rc;
}

int usp_auth_answer(const char *key, const struct usp_auth_hello *hello,
                    const struct usp_auth_proof *proof, struct usp_auth_answer *answer)
{
    uint8_t expected[32];
    memset(answer, 0, sizeof *answer);
    if (memcmp(proof->magic, USP_AUTH_MAGIC, sizeof proof->magic) != 0)
        return -EPROTO;
    mac_of(key, "client", hello->challenge, proof->challenge, expected);
    if (!memeql_sec(expected, proof->mac, sizeof expected))
        return -EKEYREJECTED;
    answer->good = 1;
    mac_of(key, "server", hello->challenge, proof->challenge, answer->mac);
    return 0;
}

int usp_auth_check(const char *key, const struct usp_auth_hello *hello,
                   const struct usp_auth_proof *proof, const struct usp_auth_answer *answer)
{
    uint8_t expected[32];
    mac_of(key, "server", hello->challenge, proof->challenge, expected);
    return answer->good == 1 && memeql_sec(expected, answer->mac, sizeof expected) ? 0
                                                                                   : -EKEYREJECTED;
}

int usp_auth_peer(int fd, int *pidp)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *pidp = (int)peer.pid;
    return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EACCES;
}
