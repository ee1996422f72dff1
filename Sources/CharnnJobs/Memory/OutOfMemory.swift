import Glibc

/// Has the system end this process before the daemon or anything else of the machine when memory runs out.
///
/// 1000 is the most. No right is needed to raise it, and where it fails the kernel chooses by size, which mostly comes
/// to the same.
public func offerToOutOfMemoryKiller() {
    guard let file = fopen("/proc/self/oom_score_adj", "w") else { return }
    fputs("1000", file)
    fclose(file)
}
