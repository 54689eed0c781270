/* uvcsp-ps: shows the programs that use the library, and the network of one of them while it runs.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/worker.h"
#include "tools/picture.h"
#include "tools/show.h"

static const char help[] =
    "usage: uvcsp-ps [-j] [-w SECONDS] [PID]\n"
    "\n"
    "Without PID: the programs that run. With the PID of any worker of a program: its\n"
    "processes, where they wait and for what, and its channels. Processes that do the same\n"
    "at the same place are one line, with their number. Nothing is stopped or changed.\n"
    "\n"
    "  -j          as JSON, each process and channel by itself\n"
    "  -w SECONDS  again and again, until it ends\n"
    "  -h, --help  this\n";

/* ---- one program ---- */

/* Begins again: the kernel puts a program somewhere else each time. Returns if that does not help.
 */
static void try_elsewhere(char **argv)
{
    enum { MOST = 50 };
    const char *text = getenv("UVCSP_PS_TRIES");
    int tries = text ? atoi(text) + 1 : 1;
    char said[12];
    snprintf(said, sizeof said, "%d", tries);
    if (tries <= MOST && setenv("UVCSP_PS_TRIES", said, 1) == 0)
        execv("/proc/self/exe", argv);
}

/* 0, or what to exit with. */
static int show(pid_t pid, bool json, char **argv)
{
    struct mirror_place place;
    struct picture picture;
    if (!mirror_find(pid, &place)) {
        bool any = kill(pid, 0) == 0 || errno == EPERM;
        fprintf(stderr, "uvcsp-ps: %d: %s\n", (int)pid,
                any ? "no program that uses the library, or not yours to look at"
                    : "no such process");
        return 1;
    }
    const char *failed = mirror_take(pid, &place, false);
    if (failed == mirror_is_taken)
        try_elsewhere(argv);
    if (!failed && !picture_take(&picture))
        failed = "out of memory";
    if (failed) {
        fprintf(stderr, "uvcsp-ps: %d: %s\n", (int)pid, failed);
        return 1;
    }
    (json ? show_json : show_text)(&picture);
    picture_free(&picture);
    return 0;
}

/* ---- all of them ---- */

static void list(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    bool any = false;
    while (proc && (entry = readdir(proc))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atol(entry->d_name) : 0;
        struct mirror_place place;
        struct picture picture;
        if (pid == 0 || !mirror_find(pid, &place) || mirror_take(pid, &place, true) ||
            usp_shared->root != pid || !picture_take(&picture))
            continue;
        if (!any)
            printf("%7s  %-20s  %7s  %9s  %8s\n", "PID", "PROGRAM", "WORKERS", "PROCESSES",
                   "CHANNELS");
        any = true;
        show_summary(&picture);
        picture_free(&picture);
    }
    if (proc)
        closedir(proc);
    if (!any)
        printf("no program that uses the library runs, or none that is yours to look at\n");
}

int main(int argc, char **argv)
{
    static const struct option words[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false;
    double again = 0;
    for (int option; (option = getopt_long(argc, argv, "jw:h", words, NULL)) != -1;) {
        char *end = NULL;
        if (option == 'j') {
            json = true;
        } else if (option == 'w') {
            again = strtod(optarg, &end);
            if (end == optarg || *end != '\0' || !(again >= 0.01 && again <= 86400)) {
                fprintf(stderr, "uvcsp-ps: -w: %s are no seconds, from 0.01 to 86400\n", optarg);
                return 2;
            }
        } else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    char *end = NULL;
    long pid = optind < argc ? strtol(argv[optind], &end, 10) : 0;
    if (argc - optind > 1 || (end && (*end != '\0' || pid <= 0 || pid > 0x3fffffff))) {
        fputs(help, stderr);
        return 2;
    }
    bool terminal = isatty(STDOUT_FILENO) == 1;
    for (bool first = true;; first = false) {
        if (again > 0 && terminal && !json)
            fputs("\033[H\033[2J", stdout);
        else if (!first && !json)
            putchar('\n');
        int status = 0;
        if (pid > 0)
            status = show((pid_t)pid, json, argv);
        else
            list();
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "uvcsp-ps: standard output: %s\n", strerror(errno));
            return 1;
        }
        if (status != 0 || again == 0)
            return first ? status : 0;
        usleep((useconds_t)(again * 1e6));
    }
}
