import CharnnStorage
import Glibc
import Synchronization
import SystemPackage

/// A folder that goes away with the value, and all that it holds; so it does when a signal ends the program.
///
/// The program's own scratch, such as an encoded text to be scored. One that is killed leaves it to the system, which
/// empties such places.
final class TemporaryFolder {
    let path: FilePath

    /// Those that are there now.
    private static let present = Mutex<[FilePath]>([])

    /// - Parameter parent: Where it lies, unless `$TMPDIR` says otherwise.
    init(in parent: String = "/tmp") throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? parent
        var template = Array("\(parent)/charnn-XXXXXX".utf8CString)
        Self.removeAllWhenEnded()
        guard mkdtemp(&template) != nil else {
            throw Failure("cannot make a folder in \(parent); set TMPDIR to one that can be written", status: 73)
        }
        let path = FilePath(platformString: template)
        Self.present.withLock { $0.append(path) }
        self.path = path
    }

    deinit {
        Self.present.withLock { $0.removeAll { $0 == path } }
        try? LocalStorage().removeTree(path)
    }

    // MARK: - When a signal ends the program

    /// Where the handler writes a signal's number, and where that is read; nil: there is no pipe to be had.
    private static let pipeEnds: (reading: Int32, writing: Int32)? = {
        var ends: [Int32] = [-1, -1]
        return pipe(&ends) == 0 ? (ends[0], ends[1]) : nil
    }()

    /// A handler may not remove files: it tells a thread, which does.
    private static func removeAllWhenEnded() {
        var thread = pthread_t()
        // Without the thread a signal ends the program as ever, and leaves the folder.
        guard pipeEnds != nil, pthread_create(&thread, nil, { _ in TemporaryFolder.awaitEnd() }, nil) == 0 else {
            return
        }
        pthread_detach(thread)
        EndingSignals.handle { number in
            guard let pipeEnds = TemporaryFolder.pipeEnds else { return }
            let before = errno
            var byte = UInt8(truncatingIfNeeded: number)
            _ = write(pipeEnds.writing, &byte, 1)
            errno = before
        }
    }

    private static func awaitEnd() -> UnsafeMutableRawPointer? {
        guard let pipeEnds else { return nil }
        var byte: UInt8 = 0
        while read(pipeEnds.reading, &byte, 1) != 1 {}
        let storage = LocalStorage()
        for folder in present.withLock(\.self) {
            // Under another name nobody puts anything into it any more.
            let aside = FilePath("\(folder).removed")
            guard (try? storage.rename(folder, to: aside, replacing: false)) != nil else { continue }
            try? storage.removeTree(aside)
        }
        let number = Int32(byte)
        signal(number, SIG_DFL)
        kill(getpid(), number)
        return nil
    }
}
