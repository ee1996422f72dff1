public import SystemPackage

extension Storage {
    /// Opens a file to read that must be the one that was looked at, such as for its rights: a path may lead elsewhere
    /// a moment later.
    ///
    /// - Parameter found: What stood there then; nil: whatever stands there now.
    public func open(
        _ path: FilePath, beneath root: FilePath?, expecting found: FileStatus?
    ) throws(StorageError) -> any StorageFile {
        let file = try open(path, beneath: root)
        guard let found else { return file }
        let status = try file.status()
        guard status.device == found.device, status.inode == found.inode else {
            throw StorageError(.denied, call: "open", path: path, errno: .permissionDenied)
        }
        return file
    }

    /// Removes a file if it is there.
    public func discard(_ path: FilePath) throws(StorageError) {
        do {
            try remove(path)
        } catch let error where error.code == .notFound {
            return
        }
    }

    /// Removes a directory with all that is in it; links are removed, not followed.
    public func removeTree(_ folder: FilePath) throws(StorageError) {
        for name in try list(folder) {
            let path = folder.appending(name)
            if try status(of: path)?.kind == .directory {
                try removeTree(path)
            } else {
                try discard(path)
            }
        }
        try removeDirectory(folder)
    }

    /// The whole of a regular file; nil if there is none.
    ///
    /// - Parameter limit: The most bytes that are read; a larger file is cut there.
    public func contents(of path: FilePath, limit: Int = .max) throws(StorageError) -> [UInt8]? {
        do {
            let file = try open(path, beneath: nil)
            return try file.read(at: 0, count: min(limit, try file.status().size))
        } catch let error where error.code == .notFound {
            return nil
        }
    }

    /// Makes a directory and those above it, durably: what is synced in it later must not go with its name.
    public func createDirectories(_ path: FilePath, mode: FileMode) throws(StorageError) {
        if try status(of: path) != nil { return }
        let parent = path.removingLastComponent()
        if !parent.isEmpty, parent != path { try createDirectories(parent, mode: mode) }
        try createDirectory(path, mode: mode)
        try synchronizeDirectory(parent)
    }
}

extension StorageFile {
    /// Writes all that another file holds at the end.
    public func append(contentsOf other: any StorageFile) throws(StorageError) {
        var position = 0
        while true {
            let piece = try other.read(at: position, count: 1 << 20)
            if piece.isEmpty { return }
            try append(piece)
            position += piece.count
        }
    }
}

extension FilePath {
    /// Where a file's next contents are written before they take its name: `.NAME.partial` beside it.
    public var partial: FilePath {
        removingLastComponent().appending(".\(lastComponent?.string ?? "").partial")
    }
}
