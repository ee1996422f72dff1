import Glibc

/// Keeps libdispatch, which is below Swift's tasks and timers, from a complaint in the journal at each start.
///
/// It gives its manager's thread a raised priority, which only root and those with RLIMIT_NICE may do, and works as well
/// without. It writes to the journal by itself, past a program's standard error. Call it before anything else; what
/// `$LIBDISPATCH_LOG` says already counts.
public func quietDispatch() {
    setenv("LIBDISPATCH_LOG", "NO", 0)
}
