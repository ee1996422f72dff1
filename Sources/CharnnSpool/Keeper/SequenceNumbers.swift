internal import CharnnStorage
internal import SystemPackage

/// Sequence numbers that are never used twice, handed out from blocks whose end is on disk before their first use.
struct SequenceNumbers {
    private static let block: UInt64 = 1024
    private let path: FilePath
    private let storage: any Storage
    private var next: UInt64
    private var end: UInt64

    init(_ path: FilePath, _ storage: any Storage) throws(StorageError) {
        self.path = path
        self.storage = storage
        let text = String(decoding: try storage.contents(of: path, limit: 32) ?? [], as: UTF8.self)
        next = UInt64(text.prefix { $0.isNumber }) ?? 1
        end = next
    }

    /// Sees to it that numbers up to `used` are not handed out again, should the file have been lost.
    mutating func skip(_ used: UInt64) {
        guard used >= next else { return }
        next = used + 1
        end = next
    }

    mutating func take() throws(StorageError) -> UInt64 {
        if next >= end {
            end = next + Self.block
            try storage.replace(path, with: Array("\(end)\n".utf8))
        }
        defer { next += 1 }
        return next
    }
}
