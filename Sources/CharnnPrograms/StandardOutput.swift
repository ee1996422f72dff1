import Glibc
import Synchronization

/// Standard output of both programs. What could not be written to it is told on standard error, once, and the program
/// ends with 74 where it would have ended with 0: a text that is not whole must not pass for one.
///
/// A command goes on with its work all the same: a job must not end because nobody can see its lines. Where nobody reads
/// any more, as when the output goes to `head`, nothing is said.
public enum StandardOutput {
    private static let state = Mutex((program: "charnn", hasFailed: false))
    /// `EX_IOERR` of sysexits.h, which is all macros.
    private static let failure: Int32 = 74

    /// Whether something could not be written.
    public static var hasFailed: Bool { state.withLock { $0.hasFailed } }

    /// Has the program end with 74 after such a failure. Call it once, before anything is written.
    public static func watch(program: String) {
        state.withLock { $0.program = program }
        // The first files to be opened would have the numbers of those that are closed, and get what is written to them.
        // What stands there now can be used as little. Each takes the lowest number that is free.
        for number in 0...2 where fcntl(Int32(number), F_GETFD) < 0 {
            _ = open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
        }
        _ = on_exit(
            { status, _ in
                // What others print, such as the help, waits in the C library's buffer; and a network file system may
                // tell only at the end that there was no room.
                if fflush(nil) != 0 || (close(1) != 0 && errno != EBADF) { StandardOutput.fail(errno) }
                if status == 0, StandardOutput.hasFailed { _exit(StandardOutput.failure) }
            }, nil)
    }

    /// Writes all of some bytes, unless something before them could not be written.
    ///
    /// - Returns: Whether they were written; false too where nobody reads any more.
    @discardableResult
    public static func write(_ bytes: some Sequence<UInt8>) -> Bool {
        guard !hasFailed else { return false }
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if errno == EAGAIN {
                // Another program that shares it has set it so.
                var wait = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, -1)
            } else if errno != EINTR {
                fail(errno)
                return false
            }
        }
        return true
    }

    private static func fail(_ code: Int32) {
        guard code != EPIPE else { return }
        let program: String? = state.withLock { state in
            defer { state.hasFailed = true }
            return state.hasFailed ? nil : state.program
        }
        guard let program else { return }
        let message =
            "\(program): standard output cannot be written (\(String(cString: strerror(code)))), and what it got is not "
            + "whole; make room there, or send it elsewhere\n"
        let bytes = Array(message.utf8)
        _ = Glibc.write(2, bytes, bytes.count)
    }
}
