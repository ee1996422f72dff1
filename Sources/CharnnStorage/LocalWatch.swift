internal import CLinux
internal import Glibc
internal import SystemPackage

/// A watch by inotify, read by a thread of its own.
///
/// Directories that go away are told as ``StorageHint/overflow``, and so are hints that the kernel or a slow reader of
/// ``hints`` lost.
final class LocalWatch: StorageWatch {
    /// So many hints wait for a slow reader; what comes on top is told as one overflow.
    private static let capacity = 16384
    /// Milliseconds for which hints gather after the first, so that many wake their reader once.
    private static let gathering: Int32 = 5

    let hints: AsyncStream<StorageHint>
    private let continuation: AsyncStream<StorageHint>.Continuation
    /// Written to at ``cancel()``, which ends the thread.
    private let wakeUp: Int32

    init(_ directories: [FilePath]) throws(StorageError) {
        let queue = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard queue >= 0 else { throw StorageError(last: "inotify_init1", directories.first ?? "") }
        let mask = UInt32(
            IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
                | IN_ONLYDIR)
        var watched: [Int32: FilePath] = [:]
        for directory in directories {
            let watch = inotify_add_watch(queue, directory.string, mask)
            guard watch >= 0 else {
                let error = StorageError(last: "inotify_add_watch", directory)
                close(queue)
                throw error
            }
            watched[watch] = directory
        }
        let wakeUp = eventfd(0, Int32(EFD_CLOEXEC))
        guard wakeUp >= 0 else {
            let error = StorageError(last: "eventfd", directories.first ?? "")
            close(queue)
            throw error
        }
        self.wakeUp = wakeUp
        (hints, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.capacity))
        let (end, paths) = (fcntl(wakeUp, F_DUPFD_CLOEXEC, 0), watched)
        let reader = Reader(queue: queue, wakeUp: end, continuation: continuation)
        LocalThread.start { reader.run(paths) }
    }

    deinit {
        cancel()
        close(wakeUp)
    }

    func cancel() {
        continuation.finish()
        var one: UInt64 = 1
        _ = write(wakeUp, &one, 8)
    }

    /// The thread's part; it owns its descriptors and closes them at its end.
    private struct Reader: Sendable {
        let queue: Int32
        let wakeUp: Int32
        let continuation: AsyncStream<StorageHint>.Continuation

        func run(_ directories: [Int32: FilePath]) {
            defer {
                close(queue)
                close(wakeUp)
                continuation.finish()
            }
            var missed = false
            while true {
                var waiting = [
                    pollfd(fd: queue, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
                ]
                // With hints missed, an overflow is offered again until the reader has room for it.
                _ = poll(&waiting, 2, missed ? 200 : -1)
                if waiting[1].revents != 0 { return }
                if missed { missed = !send(.overflow) }
                if waiting[0].revents != 0 {
                    if !readEvents(directories) { missed = true }
                    _ = poll(&waiting[1], 1, LocalWatch.gathering)
                }
            }
        }

        /// Passes on what the kernel has; false when some of it found no room.
        private func readEvents(_ directories: [Int32: FilePath]) -> Bool {
            var complete = true
            withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 8) { buffer in
                let count = read(queue, buffer.baseAddress, buffer.count)
                var offset = 0
                let header = MemoryLayout<inotify_event>.size
                while offset + header <= count {
                    let event = buffer.load(fromByteOffset: offset, as: inotify_event.self)
                    let name = buffer[(offset + header)..<(offset + header + Int(event.len))]
                    offset += header + Int(event.len)
                    if event.mask & UInt32(IN_IGNORED) != 0 { continue }
                    let lost = UInt32(IN_Q_OVERFLOW) | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF)
                    if event.mask & lost != 0 {
                        if !send(.overflow) { complete = false }
                    } else if let directory = directories[event.wd], name.first != UInt8(ascii: ".") {
                        let text = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
                        let isComplete = event.mask & UInt32(IN_CLOSE_WRITE | IN_MOVED_TO) != 0
                        let hint: StorageHint =
                            isComplete
                            ? .arrived(directory: directory, name: text) : .changed(directory: directory, name: text)
                        if !send(hint) { complete = false }
                    }
                }
            }
            return complete
        }

        private func send(_ hint: StorageHint) -> Bool {
            if case .dropped = continuation.yield(hint) { return false }
            return true
        }
    }
}

/// A detached thread, for calls that block.
enum LocalThread {
    /// - Returns: Whether there was a thread to be had; if not, `body` is not run.
    @discardableResult
    static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        final class Box {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body))
        let failed = pthread_create(
            &thread, nil,
            { argument in
                // Retained for this thread alone; taken over here once.
                Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        if failed == 0 { pthread_detach(thread) } else { box.release() }
        return failed == 0
    }
}
