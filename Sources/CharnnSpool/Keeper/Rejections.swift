internal import CharnnStorage
internal import SystemPackage

/// Fills `rejected/`: files that are no jobs, each with its reason beside it.
///
/// 1. The reason is on the disk before the file has its name there: nobody finds a file without one.
/// 2. No file there is replaced: a name in use gets a number.
/// 3. A file that is the daemon's own copy for another job never lies there under that job's name, where it would
///    count as the job's file.
///
/// A crash can fall after the reason is written (an orphan, which ``discardOrphan(_:)`` removes and the next attempt
/// writes anew), between the halves of a rename (the file has both names, and the one here counts), or after the rename
/// and before its syncs (then the file may be back where it was, and is rejected again, under the same name).
final class Rejections: SpoolRoom {
    /// Bytes of the reason beside a rejected file; a file can have a thousand mistakes.
    static let longestReason = 64 << 10
    /// Jobs of a circle that are told by name; it can be as long as the queue.
    private static let mostNamedInCircle = 20
    static let movedReason = "This file was moved from another job; drop it into incoming/ again."

    let spool: SpoolContext
    private let records: JobRecords
    /// For names that were taken, the number from which on to look for a free one.
    private var numbers: [String: Int] = [:]

    init(_ spool: SpoolContext, _ records: JobRecords) {
        self.spool = spool
        self.records = records
    }

    /// Moves a file to `rejected/` with the reason beside it.
    ///
    /// The reason is there before the file, so that nobody finds a file without one.
    /// - Returns: The file's name in `rejected/`.
    @discardableResult
    func reject(
        _ path: FilePath, as file: JobFileName, _ reason: String, isForeign: Bool = false, onlyFor reader: UInt32? = nil
    ) throws(StorageError) -> String {
        var number = max(1, numbers["\(file)"] ?? 1)
        // Under the very name of a job it would count as that job's file.
        if isForeign, records.index.jobOfFile["\(file)"] != nil { number = max(2, number) }
        let reason = PlainText.lines(reason, atMost: Self.longestReason)
        let text = reason.hasSuffix("\n") ? reason : reason + "\n"
        while true {
            let target = "\(JobFileName(name: file.name.numbered(number), ending: file.ending))"
            number += 1
            let destination = layout.file(target, in: .rejected)
            if let standing = try storage.status(of: destination), standing.links > 1,
                try storage.status(of: path)?.inode == standing.inode
            {
                // A move made of link and unlink that a crash cut short: it counts as made.
                try storage.discard(path)
                try storage.synchronizeDirectory(path.removingLastComponent())
                log.tell(.rejected(file: target, reason: reason))
                return target
            }
            guard try storage.status(of: destination) == nil, records.index.jobOfFile[target] == nil || number == 2
            else {
                continue
            }
            do {
                let beside = layout.directory(.rejected).appending("\(target).reason.txt")
                try storage.replace(beside, with: Array(text.utf8), mode: reader == nil ? 0o640 : 0o600)
                if let reader { try Privacy.close(file: beside, to: reader, on: storage) }
            } catch let error
                where (error.code == .notRegular || error.code == .denied || error.code == .alreadyExists)
                && number < SpoolKeeper.mostOddNames
            {
                // A person made a directory of one of the names.
                continue
            }
            do {
                try storage.rename(path, to: destination, replacing: false)
            } catch let error where error.code == .alreadyExists {
                continue
            }
            try storage.synchronizeDirectory(layout.directory(.rejected))
            try storage.synchronizeDirectory(path.removingLastComponent())
            if number > 2 { numbers["\(file)"] = number }
            if !isForeign { records.index.addRejected(file.name.text) }
            let told = reader == nil ? reason : "its owner reads the reason beside it"
            log.tell(.rejected(file: target, reason: told))
            return target
        }
    }

    /// Removes a reason whose file a person has taken away.
    func discardOrphan(_ name: String) throws(StorageError) {
        let ending = ".reason.txt"
        guard name.hasSuffix(ending) else { return }
        let file = layout.file(String(name.dropLast(ending.count)), in: .rejected)
        if try storage.status(of: file) == nil {
            try files.sweep(layout.directory(.rejected).appending(name))
        }
    }

    static func circleReason(_ circle: [String]) -> String {
        var names = circle
        if names.count > mostNamedInCircle {
            let left = names.count - mostNamedInCircle
            names[mostNamedInCircle - 1] = "\(left) more, the last of which"
            names.removeSubrange(mostNamedInCircle..<(names.count - 1))
        }
        return "after: the jobs would wait for each other for ever: \(names.joined(separator: " waits for "))."
    }
}
