// Linux system calls that Swift's Glibc module lacks, each as one function without logic of its own.
// All return what the call returns and leave errno as the call set it.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>

/// rename, failing with EEXIST where something stands at `to`; EINVAL where the file system cannot do that.
int charnn_rename_new(const char *from, const char *to);

/// openat2 below `root` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS.
int charnn_open_beneath(int root, const char *path, int flags);

/// openat without a mode.
int charnn_openat(int directory, const char *path, int flags);

/// Tries a read lease on a descriptor opened for reading only, and gives it back at once.
/// 0: nobody writes; 1: somebody has the file open for writing; -1: it cannot be told.
int charnn_has_writer(int descriptor);

/// syncfs: everything that was written to the file system of a descriptor. Since Linux 5.8 it tells of failed writes.
int charnn_sync_file_system(int descriptor);

/// The type of the file system on which `path` lies, as statfs numbers it in 32 bits; -1 where that fails.
long charnn_file_system_type(const char *path);

/// sync_file_range that begins no writes, waits for those that are under way, and tells of failed ones.
int charnn_wait_for_writes(int descriptor);

/// lgetxattr of a file's POSIX access list; -1 with ENODATA or EOPNOTSUPP where it has none.
long charnn_access_list(const char *path, void *buffer, size_t size);

/// lsetxattr of a file's POSIX access list; its mode follows.
int charnn_set_access_list(const char *path, const void *list, size_t size);

/// chmod of what stands at `path` itself; a link is refused.
int charnn_set_mode(const char *path, unsigned mode);

/// flock(LOCK_EX | LOCK_NB).
int charnn_lock(int descriptor);

/// F_OFD_SETLK of the whole file, to write: a lock that others can ask about, as they cannot about flock's.
int charnn_lock_askable(int descriptor);

/// F_OFD_GETLK of the whole file: whether another open file has such a lock to write: 1, 0, or -1. Locks to read, which
/// whoever may read the file can take, do not count.
int charnn_is_locked(int descriptor);

/// pidfd_open: a descriptor that means this process for ever, whoever gets its number later.
int charnn_open_process(int pid);

/// pidfd_send_signal.
int charnn_signal_process(int descriptor, int signal);

/// Whether the kernel's clock is kept right by another: 1, 0, or -1 where that cannot be told.
int charnn_clock_is_synchronised(void);

#endif
