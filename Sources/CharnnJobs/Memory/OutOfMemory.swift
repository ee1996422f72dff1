import Glibc

/// Has the system end this process before the daemon or anything else of the machine when memory runs out.
public func offerToOutOfMemoryKiller() {
    guard let file = fopen("/proc/self/oom_score_adj", "w") else { return }
    fputs("1000", file)
    fclose(file)
}
