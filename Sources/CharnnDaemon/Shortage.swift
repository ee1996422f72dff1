internal import CharnnSpool
internal import CharnnStorage
internal import CharnnWords
internal import Logging
internal import SystemPackage

/// What the spool's disk lacks, for which the queue as a whole waits: every job writes to it.
///
/// A full disk is nobody's fault and passes: no job fails by it. Nothing is started until there is room; it is looked
/// for whenever a job could be started, and the queue goes on by itself.
enum Shortage: Equatable, CustomStringConvertible {
    case bytes(needed: UInt64, free: UInt64, path: FilePath)
    case inodes(free: UInt64, path: FilePath)
    case notWritable(String)

    var description: String {
        switch self {
        case .bytes(let needed, let free, let path):
            "\(byteCount(needed)) must be free on the disk of \(path) and \(byteCount(free)) are; make room for "
                + "\(byteCount(needed - min(needed, free))) more"
        case .inodes(let free, let path):
            "the disk of \(path) has \(free) inodes left and \(Self.inodeReserve) are needed; remove some files"
        case .notWritable(let reason): "\(reason); make the disk writable again"
        }
    }

    /// What must be free for statuses and moves, beside what a job needs, so that its end can be noted too.
    static let byteReserve: UInt64 = 1 << 20
    static let inodeReserve: UInt64 = 64

    /// Looks at a disk.
    ///
    /// - Parameter probe: Where a file may be made to see whether that is possible; nil: that is not tried.
    ///
    /// What a file system says of its room is not all: a quota, or a disk that has become read-only, shows only when
    /// something is written.
    ///
    /// - Returns: nil: there is room, as far as can be told.
    static func find(needing bytes: UInt64, at path: FilePath, probe: FilePath?, _ storage: any Storage) -> Shortage? {
        if let space = try? storage.space(at: path) {
            let (needed, overflow) = bytes.addingReportingOverflow(byteReserve)
            if overflow || space.bytes < needed {
                return .bytes(needed: overflow ? .max : needed, free: space.bytes, path: path)
            }
            if space.inodes < inodeReserve { return .inodes(free: space.inodes, path: path) }
        }
        guard let probe else { return nil }
        do throws(StorageError) {
            try storage.replace(probe, with: [10])
            try storage.discard(probe)
            return nil
        } catch {
            return .notWritable("\(error)")
        }
    }
}

extension MainLoop {
    /// Looks whether the disk has what the queue needs; tells when it begins to lack it, and when that is over.
    ///
    /// - Parameters:
    ///   - bytes: What a job that has just ended found missing.
    ///   - found: Whether something has failed for want of room: then the disk is tried, not only asked.
    func watchRoom(for bytes: UInt64 = 0, found: Bool = false) {
        let probe = found || shortage != nil ? options.spool.accepting.appending(".probe") : nil
        neededBytes = max(bytes, shortage == nil ? 0 : neededBytes)
        let now = Shortage.find(needing: neededBytes, at: options.spool.root, probe: probe, options.storage)
        let before = shortage
        shortage = now
        switch (before, now) {
        case (nil, let lack?):
            announcer.tell(
                .diskFull, .error, "The queue waits for the disk: \(lack). Nothing is lost; it goes on by itself.")
        case (_?, nil):
            neededBytes = 0
            announcer.tell(.roomAgain, .notice, "The disk has room again; the queue goes on.")
        default: break
        }
    }
}
