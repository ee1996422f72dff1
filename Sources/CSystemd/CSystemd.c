#define _GNU_SOURCE
#include "CSystemd.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

static int (*notify)(int, const char *);
static int (*sendv)(const struct iovec *, int);
static int (*watchdog)(int, uint64_t *);
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Only the versioned name: the unversioned one belongs to development packages. The handle is never closed.
static void open_library(void) {
    void *library = dlopen("libsystemd.so.0", RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) return;
    notify = (int (*)(int, const char *))dlsym(library, "sd_notify");
    sendv = (int (*)(const struct iovec *, int))dlsym(library, "sd_journal_sendv");
    watchdog = (int (*)(int, uint64_t *))dlsym(library, "sd_watchdog_enabled");
}

int charnn_systemd_is_available(void) {
    pthread_once(&once, open_library);
    return notify != NULL && sendv != NULL && watchdog != NULL;
}

int charnn_systemd_notify(const char *state) {
    return charnn_systemd_is_available() ? notify(0, state) : -ENOSYS;
}

int charnn_journal_send(const struct iovec *fields, int count) {
    return charnn_systemd_is_available() ? sendv(fields, count) : -ENOSYS;
}

int charnn_watchdog_enabled(uint64_t *microseconds) {
    return charnn_systemd_is_available() ? watchdog(0, microseconds) : -ENOSYS;
}
