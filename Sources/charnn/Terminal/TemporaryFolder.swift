import CharnnStorage
import Glibc
import SystemPackage

/// A folder that goes away with the value, and all that it holds.
///
/// The program's own scratch, such as an encoded text to be scored. A program that is killed leaves it to the system,
/// which empties such places.
final class TemporaryFolder {
    let path: FilePath

    /// - Parameter parent: Where it lies, unless `$TMPDIR` says otherwise.
    init(in parent: String = "/tmp") throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? parent
        var template = Array("\(parent)/charnn-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure("cannot make a folder in \(parent); set TMPDIR to one that can be written", status: 73)
        }
        path = FilePath(platformString: template)
    }

    deinit { Self.remove(path) }

    private static func remove(_ folder: FilePath) {
        let storage = LocalStorage()
        for name in (try? storage.list(folder)) ?? [] {
            let path = folder.appending(name)
            if ((try? storage.status(of: path)) ?? nil)?.kind == .directory {
                remove(path)
            } else {
                try? storage.discard(path)
            }
        }
        rmdir(folder.string)
    }
}
