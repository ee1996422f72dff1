public import CharnnStorage
public import SystemPackage

/// The folders below which jobs find the texts and models that they name.
public struct ReadableFolders: Sendable {
    /// nil: files lie anywhere, as for a person's own command.
    public var roots: [FilePath]?

    public init(roots: [FilePath]?) { self.roots = roots }

    /// Where a named file lies, or would.
    public enum Location: Sendable, Equatable {
        /// - root: The folder below which each folder's rights count; nil: none is asked for.
        case file(FilePath, root: FilePath?)
        /// It is below none of the folders.
        case outside
        /// It is below more folders than are looked through, see ``Reader/mostComponents``.
        case tooDeep
        /// There are several of that name, which differ in how their letters are composed only.
        case ambiguous(FilePath)
    }

    /// Finds a file by the name that a job gives it.
    ///
    /// Files keep the bytes of their names: the exact name comes first; else the only one whose letters are the same, in
    /// whatever form of Unicode.
    ///
    /// - Parameter base: Where relative names begin.
    /// - Returns: Where there is no such file, the path that it would have.
    public func place(
        of given: FilePath, relativeTo base: FilePath, in storage: some Storage
    ) throws(StorageError) -> Location {
        let path = (given.isAbsolute ? given : base.appending(given.components)).lexicallyNormalized()
        guard let roots else { return try find(path, below: given.isAbsolute ? "/" : base, root: nil, in: storage) }
        // Each folder is looked at for each file, while others wait.
        guard path.components.count <= Reader.mostComponents else { return .tooDeep }
        guard let root = roots.first(where: { path.starts(with: $0) && path != $0 }) else { return .outside }
        return try find(path, below: root, root: root, in: storage)
    }

    private func find(
        _ path: FilePath, below folder: FilePath, root: FilePath?, in storage: some Storage
    ) throws(StorageError) -> Location {
        var names = path
        guard names.removePrefix(folder), !path.string.utf8.allSatisfy({ $0 < 0x80 }),
            try Self.status(of: path, in: storage) == nil
        else { return .file(path, root: root) }
        var found = folder
        for name in names.components {
            let exact = found.appending(name)
            if try Self.status(of: exact, in: storage) != nil {
                found = exact
                continue
            }
            // Strings are equal where their letters are.
            let same = ((try? storage.list(found)) ?? []).filter { $0 == name.string }
            guard same.count < 2 else { return .ambiguous(exact) }
            guard let only = same.first else { return .file(path, root: root) }
            found.append(only)
        }
        return .file(found, root: root)
    }

    /// What is not open to this process is not there.
    private static func status(of path: FilePath, in storage: some Storage) throws(StorageError) -> FileStatus? {
        do throws(StorageError) {
            return try storage.status(of: path)
        } catch {
            guard error.code == .denied else { throw error }
            return nil
        }
    }
}

extension FilePath {
    /// Whether a relative path leads into the folder of one of these jobs.
    public func isBelowJob(of names: [String]) -> Bool {
        let normal = lexicallyNormalized()
        return isRelative && normal.components.count > 1 && names.contains { $0 == normal.components.first?.string }
    }
}
