/* An unrelated program, for test_shared_named.c. named_user NAME SIZE: opens the block and obeys
   the letters of its standard input; each is answered by a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uvcsp/ipc.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    setvbuf(stdout, NULL, _IONBF, 0);
    long *p = uvcsp_shared_open(argv[1], (size_t)atol(argv[2]));
    printf("%s\n", p ? "open" : "refused");
    char letter;
    while (p && read(STDIN_FILENO, &letter, 1) == 1)
        switch (letter) {
        case 'r': /* reads */
            printf("%ld\n", *p);
            break;
        case 'w': /* writes */
            *p += 1;
            printf("written\n");
            break;
        case 'l': /* locks */
            printf("%s\n", uvcsp_status_name(uvcsp_shared_lock(p, 10)));
            break;
        case 'u':
            printf("%s\n", uvcsp_status_name(uvcsp_shared_unlock(p)));
            break;
        case 'i': /* increments ten thousand times, each in several steps */
            for (int i = 0; i < 10000; i++)
                LOCKED (p) {
                    volatile long seen = *p;
                    *p = seen + 1;
                }
            printf("done\n");
            break;
        case 'f':
            printf("%s\n", uvcsp_status_name(uvcsp_shared_free(p)));
            break;
        }
    return 0;
}
