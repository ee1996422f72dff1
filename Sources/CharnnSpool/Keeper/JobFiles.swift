internal import CharnnStorage
internal import SystemPackage

/// The files of jobs in the directories of a spool: where they lie, and how they are moved and written.
///
/// It knows nothing of what is recorded.
///
/// 1. A file lies in a state directory under its own name only when it is whole and synced; until then its name is a
///    hidden one that ends in `.copy`.
/// 2. Nothing that stands somewhere is replaced: a rename whose target exists fails.
///
/// A crash may fall in ``place(_:_:in:sequence:onlyFor:)`` before the rename, which leaves a hidden copy that the next start
/// removes, or after it, when the file is there or not, as if the call had just begun. In ``move(_:from:to:)`` it may
/// fall before or after the rename; on file systems on which a rename is a link and an unlink, between them too: then
/// the file has both names, and ``Reconciler/primaryPlace(of:_:)`` removes the old one.
struct JobFiles {
    let layout: SpoolLayout
    let storage: any Storage

    /// The states in whose directories a job file of that name lies.
    func places(of file: String) throws(StorageError) -> [JobState] {
        var found: [JobState] = []
        for state in JobState.allCases where try storage.status(of: layout.file(file, in: state))?.kind == .regular {
            found.append(state)
        }
        return found
    }

    /// Whether something lies in a state directory under the same name in another form of Unicode.
    func hasTwin(_ file: String) throws(StorageError) -> Bool {
        if file.utf8.allSatisfy({ $0 < 0x80 }) { return false }
        for state in JobState.allCases {
            let names = try storage.list(layout.directory(state))
            // Strings are equal where their letters are.
            if names.contains(where: { $0 == file && !$0.isSame(as: file) }) { return true }
        }
        return false
    }

    /// Moves a job file between states, durably.
    func move(_ file: String, from place: JobState, to state: JobState) throws(StorageError) {
        try storage.rename(layout.file(file, in: place), to: layout.file(file, in: state), replacing: false)
        try storage.synchronizeDirectory(layout.directory(state))
        try storage.synchronizeDirectory(layout.directory(place))
    }

    /// Writes a job's file from its job folder into a state directory, durably but for the directory's sync.
    ///
    /// - Parameter reader: The only user who may read it; nil: the spool's group may.
    func place(
        _ job: String, _ file: String, in state: JobState, sequence: UInt64, onlyFor reader: UInt32? = nil
    ) throws(StorageError) {
        let bytes = try storage.contents(of: layout.jobFile(of: job), limit: SpoolKeeper.largestFile) ?? []
        // Made in that very directory, whose group it takes: in a shared spool its people are to read it.
        let copy = try freeCopy(sequence, in: state)
        let writing = try Privacy.create(copy, onlyFor: reader, on: storage)
        try writing.append(bytes)
        try writing.synchronize()
        try storage.rename(copy, to: layout.file(file, in: state), replacing: false)
    }

    /// A hidden name to write a job file under; what is left of an earlier attempt is removed.
    func freeCopy(_ sequence: UInt64, in state: JobState) throws(StorageError) -> FilePath {
        for number in 1..<SpoolKeeper.mostOddNames {
            let copy = layout.file(number == 1 ? ".\(sequence).copy" : ".\(sequence).\(number).copy", in: state)
            do {
                try storage.discard(copy)
                return copy
            } catch let error where error.code == .notRegular || error.code == .denied {
                // A person made a directory of that name.
            }
        }
        return layout.file(".\(sequence).copy", in: state)
    }

    /// At most a job file's bytes and one more.
    func read(_ file: any StorageFile) throws(StorageError) -> [UInt8] {
        try file.read(at: 0, count: min(SpoolKeeper.largestFile, try file.status().size) + 1)
    }

    /// Removes a folder that a crash left half made.
    func removeFolder(_ folder: FilePath) throws(StorageError) {
        guard try storage.status(of: folder) != nil else { return }
        for name in try storage.list(folder) { try storage.discard(folder.appending(name)) }
        try storage.removeDirectory(folder)
    }

    /// Whether a hidden file is one that a crash kept from getting its name.
    static func isLeftover(_ name: String) -> Bool {
        name.hasPrefix(".") && (name.hasSuffix(".copy") || name.hasSuffix(".partial"))
    }

    /// Removes a leftover. Only a regular file is one: people can write in the state directories, and what else they
    /// make there is theirs.
    func sweep(_ path: FilePath) throws(StorageError) {
        if try storage.status(of: path)?.kind == .regular { try storage.discard(path) }
    }

    /// The step of the newest checkpoint, by its file's name.
    func newestCheckpoint(of job: String) throws(StorageError) -> Int? {
        let names: [String]
        do {
            names = try storage.list(layout.folder(of: job).appending(.checkpoints))
        } catch let error where error.code == .notFound {
            return nil
        }
        return names.compactMap { name -> Int? in
            guard name.hasPrefix("step-"), name.hasSuffix(".safetensors") else { return nil }
            return Int(name.dropFirst("step-".count).dropLast(".safetensors".count))
        }.max()
    }

    /// Whether some worker holds the job folder.
    func isOccupied(_ job: String) -> Bool {
        do {
            return try storage.isLocked(layout.lock(of: job))
        } catch {
            return false
        }
    }
}
