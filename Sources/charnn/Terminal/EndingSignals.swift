import Glibc

/// The signals by which a person or the system ends a program.
enum EndingSignals {
    /// Has them handled.
    ///
    /// - Parameter handler: Does only what a signal's handler may.
    static func handle(_ handler: @escaping @convention(c) (Int32) -> Void) {
        for number in [SIGINT, SIGTERM] { signal(number, handler) }
        // nohup has it ignored, so that the work outlasts its terminal.
        var hangup = sigaction()
        sigaction(SIGHUP, nil, &hangup)
        if unsafeBitCast(hangup.__sigaction_handler.sa_handler, to: Int.self) != unsafeBitCast(SIG_IGN, to: Int.self) {
            signal(SIGHUP, handler)
        }
    }
}
