#include "base/signame.h"

#include <signal.h>
#include <string.h>

#define NAME(signal)                                                                               \
    { #signal, signal }

static const tide_signame names[] = {
    NAME(SIGHUP),    NAME(SIGINT),  NAME(SIGQUIT), NAME(SIGTERM), NAME(SIGKILL),  NAME(SIGUSR1),
    NAME(SIGUSR2),   NAME(SIGPIPE), NAME(SIGALRM), NAME(SIGCHLD), NAME(SIGCONT),  NAME(SIGSTOP),
    NAME(SIGTSTP),   NAME(SIGTTIN), NAME(SIGTTOU), NAME(SIGURG),  NAME(SIGWINCH), NAME(SIGIO),
    NAME(SIGVTALRM), NAME(SIGPROF), NAME(SIGXCPU), NAME(SIGXFSZ), NAME(SIGABRT),  NAME(SIGBUS),
    NAME(SIGFPE),    NAME(SIGILL),  NAME(SIGSEGV), NAME(SIGSYS),  NAME(SIGTRAP),
#ifdef SIGPWR
    NAME(SIGPWR),
#endif
#ifdef SIGSTKFLT
    NAME(SIGSTKFLT),
#endif
};

enum { COUNT = sizeof names / sizeof *names };

const tide_signame *tide_signame_find(const char *text) {
    const char *bare = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int i = 0; i < COUNT; i++)
        if (strcmp(names[i].name + 3, bare) == 0)
            return &names[i];
    return NULL;
}

const char *tide_signame_of(int number) {
    for (int i = 0; i < COUNT; i++)
        if (names[i].number == number)
            return names[i].name;
    return NULL;
}
