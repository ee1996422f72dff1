public import CharnnStorage
public import SystemPackage

/// Somebody on whose behalf files are looked at, so that nobody reads through the daemon what they cannot read
/// themselves: a user, or each member of a group.
public struct Reader: Sendable {
    private enum Kind {
        case user(UInt32, groups: Set<UInt32>)
        case members(of: UInt32)
    }

    private let kind: Kind
    /// Folders on the way to a text or model that are looked through: each takes its time, while others wait.
    public static let mostComponents = 64

    public init(user: UInt32, _ people: People = .system) {
        kind = .user(user, groups: people.groups(of: user))
    }

    /// Whoever is a member of a group, without a right of their own.
    public init(membersOf group: UInt32) { kind = .members(of: group) }

    /// What somebody may do with a file.
    public enum Access {
        /// What is opened later must be what was found to be theirs to read.
        case allowed(FileStatus)
        /// There is none, in a folder into which they may look.
        case missing
        case refused
    }

    /// Whether they may read the file at `path` and pass the folders between it and `root`.
    public func access(
        to path: FilePath, below root: FilePath, in storage: some Storage
    ) throws(StorageError) -> Access {
        var relative = path
        guard relative.removePrefix(root) else { return .refused }
        var current = root
        for component in relative.components {
            current.append(component)
            do throws(StorageError) {
                guard let status = try storage.status(of: current) else { return .missing }
                guard try permits(status, current == path ? 4 : 1, current, storage) else { return .refused }
                // What stands behind a link is not looked at on anybody's behalf; that none is followed, the opening says.
                if current == path || status.kind == .link { return .allowed(status) }
            } catch {
                if error.code == .denied { return .refused }
                throw error
            }
        }
        return .refused
    }

    /// Whether they may read a regular file; see ``access(to:below:in:)``.
    public func mayRead(
        _ path: FilePath, below root: FilePath, in storage: some Storage
    ) throws(StorageError) -> Bool {
        guard case .allowed(let found) = try access(to: path, below: root, in: storage) else { return false }
        return found.kind == .regular
    }

    /// - Parameter right: 4 to read, 1 to pass.
    private func permits(
        _ status: FileStatus, _ right: UInt32, _ path: FilePath, _ storage: some Storage
    ) throws(StorageError) -> Bool {
        let attribute = try storage.accessList(of: path)
        let list = attribute.map { AccessList($0) } ?? AccessList(status.mode)
        // What cannot be understood grants nothing.
        guard let list else { return false }
        switch kind {
        case .user(let user, let groups):
            return list.permits(right, user: user, groups: groups, owner: status.owner, group: status.group)
        case .members(let group): return list.permitsAll(right, member: group, group: status.group)
        }
    }
}
