#include "base/sigpipe.h"

#include <pthread.h>

static void set_of_one(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

void tide_sigpipe_hold(tide_sigpipe *held) {
    sigset_t one;
    set_of_one(&one);
    pthread_sigmask(SIG_BLOCK, &one, &held->mask);
}

/* Who holds it back for good never sees the signal, and may find ours pending. */
void tide_sigpipe_release(const tide_sigpipe *held) {
    sigset_t one, pending;
    int number;
    if (sigismember(&held->mask, SIGPIPE) == 1)
        return;
    if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) {
        set_of_one(&one);
        sigwait(&one, &number);
    }
    pthread_sigmask(SIG_SETMASK, &held->mask, NULL);
}
