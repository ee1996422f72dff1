// The part of libsystemd that the daemon uses, opened when the program runs: building needs neither the library nor its
// headers, and where the library is missing every call says so and does nothing.
#ifndef CSYSTEMD_H
#define CSYSTEMD_H

#include <stdint.h>
#include <sys/uio.h>

/// 1 when libsystemd is there, else 0.
int charnn_systemd_is_available(void);

/// sd_notify: 1 when the message was sent, 0 when nobody wants any, negative errno on failure, -ENOSYS without libsystemd.
int charnn_systemd_notify(const char *state);

/// sd_journal_sendv: 0, or negative errno; -ENOSYS without libsystemd.
int charnn_journal_send(const struct iovec *fields, int count);

/// sd_watchdog_enabled: positive and *microseconds set when the service manager expects signs of life.
int charnn_watchdog_enabled(uint64_t *microseconds);

#endif
