/* Where sockets are: in a directory that only their user can enter. */
#ifndef USP_IPC_ADDRESS_H
#define USP_IPC_ADDRESS_H

#include <sys/un.h>

/* The path of an address: of a name in the user's own directory, or the address itself. 0; -EINVAL
   for an empty one, -ENAMETOOLONG. */
int usp_address_path(const char *address, struct sockaddr_un *path);

/* The same, for who wants to listen there: NULL makes a name up, and the directory is made if there
   is none. -EACCES with a line on stderr: the directory is another user's, or open to others.
   -errno. `what` names the call. */
int usp_address_own(const char *address, struct sockaddr_un *path, const char *what);

#endif
