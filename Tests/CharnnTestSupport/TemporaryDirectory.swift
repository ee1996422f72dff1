internal import Foundation
public import SystemPackage

/// A folder of a test's own, removed with everything in it when the value goes away.
public final class TemporaryDirectory: Sendable {
    public let path: FilePath

    public init(_ label: String = "charnn") {
        let template = FileManager.default.temporaryDirectory.appendingPathComponent("\(label)-XXXXXX").path
        var bytes = Array(template.utf8CString)
        guard let made = mkdtemp(&bytes) else { preconditionFailure("mkdtemp \(template): errno \(errno)") }
        path = FilePath(String(cString: made))
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }
}
