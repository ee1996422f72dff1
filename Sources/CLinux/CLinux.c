#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <sys/timex.h>

int charnn_rename_new(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int charnn_open_beneath(int root, const char *path, int flags) {
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

int charnn_openat(int directory, const char *path, int flags) { return openat(directory, path, flags); }

int charnn_has_writer(int descriptor) {
    if (fcntl(descriptor, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(descriptor, F_SETLEASE, F_UNLCK);
        return 0;
    }
    return errno == EAGAIN ? 1 : -1;
}

int charnn_sync_file_system(int descriptor) { return syncfs(descriptor); }

long charnn_file_system_type(const char *path) {
    struct statfs found;
    return statfs(path, &found) == 0 ? (long)(uint32_t)found.f_type : -1;
}

int charnn_wait_for_writes(int descriptor) {
    return sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE);
}

long charnn_access_list(const char *path, void *buffer, size_t size) {
    return lgetxattr(path, "system.posix_acl_access", buffer, size);
}

int charnn_set_access_list(const char *path, const void *list, size_t size) {
    return lsetxattr(path, "system.posix_acl_access", list, size, 0);
}

int charnn_set_mode(const char *path, unsigned mode) {
    return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

int charnn_lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

int charnn_lock_askable(int descriptor) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(descriptor, F_OFD_SETLK, &whole);
}

int charnn_is_locked(int descriptor) {
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_GETLK, &whole) != 0) return -1;
    return whole.l_type != F_UNLCK;
}

int charnn_open_process(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int charnn_signal_process(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0);
}

int charnn_clock_is_synchronised(void) {
    struct timex status = {0};
    int state = adjtimex(&status);
    return state < 0 ? -1 : state != TIME_ERROR && !(status.status & STA_UNSYNC);
}
