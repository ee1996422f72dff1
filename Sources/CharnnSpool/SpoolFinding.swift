public import CharnnStorage
public import SystemPackage

/// Something that a check of a spool came upon.
public struct SpoolFinding: Sendable, Hashable {
    public enum Weight: String, Sendable, Codable {
        /// Nothing is wrong: a person's doing, or something that the next daemon deals with by itself.
        case note
        /// Something is not as it should be.
        case damage
    }

    public var weight: Weight
    public var path: FilePath
    /// What is wrong there, and what a person can do where no repair can.
    public var what: String
    /// What mends it; nil: nothing that a program may do.
    public var repair: SpoolRepair?

    public init(_ weight: Weight, _ path: FilePath, _ what: String, _ repair: SpoolRepair? = nil) {
        self.weight = weight
        self.path = path
        self.what = what
        self.repair = repair
    }
}

/// A change that mends a finding. None removes anything but hidden files that a crash left half written; what is
/// damaged is set aside under another name.
public enum SpoolRepair: Sendable, Hashable {
    case makeDirectory(FilePath, CharnnStorage.FileMode)
    case setRights(FilePath, CharnnStorage.FileMode)
    case setAccessList(FilePath, AccessList)
    /// Removes a hidden file, or a hidden folder with such, that was never finished.
    case discard(FilePath)
    /// Renames to `NAME.damaged`.
    case setAside(FilePath)
    /// Has the sequence numbers begin there.
    case beginNumbers(FilePath, at: UInt64)
    /// Gives a job a number of its own.
    case renumber(job: String, to: UInt64)
    /// Tells the queue again which file is the job's and what it asks for.
    case writeTicket(job: String, JobTicket)
    /// Writes the job folder's copy of the job file anew.
    case copyJobFile(FilePath, to: FilePath)
    /// Writes that the reason of a rejection was lost.
    case writeReason(FilePath)
    /// What a daemon does at its start: it moves files and mends statuses by the table of states.
    case recover

    /// What was done, or would be.
    public var description: String {
        switch self {
        case .makeDirectory: "made"
        case .setAccessList: "given its access list"
        case .setRights(_, let mode): "given the rights 0\(String(mode.bits, radix: 8))"
        case .discard: "removed"
        case .setAside(let path): "set aside as \(path.lastComponent?.string ?? "").damaged"
        case .beginNumbers(_, let number): "the numbers begin at \(number)"
        case .renumber(_, let number): "given the number \(number)"
        case .writeTicket: "the ticket is written anew from the job file"
        case .copyJobFile(let source, _): "copied from \(source)"
        case .writeReason: "a reason is written"
        case .recover: "put right by the queue's recovery"
        }
    }

    /// Does it. The caller has the spool's lock.
    public func perform(_ layout: SpoolLayout, on storage: some Storage) throws(StorageError) {
        switch self {
        case .makeDirectory(let path, let mode):
            try storage.createDirectories(path, mode: 0o700)
            try storage.setMode(mode, of: path)
        case .setRights(let path, let mode): try storage.setMode(mode, of: path)
        case .setAccessList(let path, let list): try storage.setAccessList(list, of: path)
        case .discard(let path): try Self.discard(path, on: storage)
        case .setAside(let path): try Self.setAside(path, on: storage)
        case .beginNumbers(let path, let number): try storage.replace(path, with: Array("\(number)\n".utf8))
        case .renumber(let job, let number):
            try Self.change(layout.status(of: job), on: storage) { $0.sequence = number }
        case .writeTicket(let job, let ticket):
            try Self.change(layout.status(of: job), on: storage) { $0.ticket = ticket }
        case .copyJobFile(let source, let destination):
            guard let bytes = try storage.contents(of: source, limit: SpoolKeeper.largestFile) else { return }
            try storage.replace(destination, with: bytes)
        case .writeReason(let path):
            try storage.replace(path, with: Array("The reason was lost; `charnn check` tells what is wrong.\n".utf8))
        case .recover: break
        }
    }

    private static func discard(_ path: FilePath, on storage: some Storage) throws(StorageError) {
        guard try storage.status(of: path)?.kind == .directory else { return try storage.discard(path) }
        for name in try storage.list(path) { try storage.discard(path.appending(name)) }
        try storage.removeDirectory(path)
    }

    private static func setAside(_ path: FilePath, on storage: some Storage) throws(StorageError) {
        let folder = path.removingLastComponent()
        var name = "\(path.lastComponent?.string ?? "").damaged"
        var number = 1
        while true {
            do {
                try storage.rename(path, to: folder.appending(name), replacing: false)
                return try storage.synchronizeDirectory(folder)
            } catch let error where error.code == .alreadyExists && number < 1000 {
                number += 1
                name = "\(path.lastComponent?.string ?? "").damaged-\(number)"
            }
        }
    }

    private static func change(
        _ path: FilePath, on storage: some Storage, _ change: (inout JobStatus) -> Void
    ) throws(StorageError) {
        guard var status = try JobStatus.read(path, on: storage) else { return }
        change(&status)
        try status.save(path, on: storage)
    }
}
