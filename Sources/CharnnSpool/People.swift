internal import Glibc
internal import Synchronization

/// Who the users of this machine are: their names, their groups, and who administers spools.
///
/// Whoever is not known has no name but a number, no groups, and administers nothing.
public struct People: Sendable {
    /// The group whose members administer the system's spool.
    public static let administratorsGroup = "charnnd-admin"

    /// The number of ``administratorsGroup``; nil: this machine has no such group.
    public let administrators: UInt32?
    private let look: @Sendable (UInt32) -> Person?

    /// What is known of a user.
    public struct Person: Sendable {
        public var name: String
        public var groups: Set<UInt32>

        public init(name: String, groups: Set<UInt32>) {
            self.name = name
            self.groups = groups
        }
    }

    /// - Parameter look: What is known of a user, by number.
    public init(administrators: UInt32?, look: @escaping @Sendable (UInt32) -> Person?) {
        self.administrators = administrators
        self.look = look
    }

    /// Those of this machine, as its name service has them. What it said of one is believed for a minute: it may ask
    /// other machines.
    public static var system: People {
        let cache = Cache()
        return People(administrators: group(named: administratorsGroup)) { user in cache.person(user) }
    }

    public func name(of user: UInt32) -> String { look(user)?.name ?? "user \(user)" }

    public func groups(of user: UInt32) -> Set<UInt32> { look(user)?.groups ?? [] }

    /// Whether a user administers a shared spool: the superuser, and the members of ``administratorsGroup``.
    public func isAdministrator(_ user: UInt32) -> Bool {
        if user == 0 { return true }
        guard let administrators else { return false }
        return groups(of: user).contains(administrators)
    }

    /// The number of a group; nil: there is none.
    public static func group(named name: String) -> UInt32? {
        var entry = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        var buffer = [CChar](repeating: 0, count: 1 << 16)
        guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return entry.gr_gid
    }

    private final class Cache: Sendable {
        private let known = Mutex<[UInt32: (person: Person?, time: Int)]>([:])

        func person(_ user: UInt32) -> Person? {
            let now = Glibc.time(nil)
            if let found = known.withLock({ $0[user] }), now - found.time < 60, now >= found.time {
                return found.person
            }
            let person = Self.look(user)
            known.withLock { $0[user] = (person, now) }
            return person
        }

        private static func look(_ user: UInt32) -> Person? {
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            var buffer = [CChar](repeating: 0, count: 1 << 14)
            guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name
            else { return nil }
            var list = [gid_t](repeating: 0, count: 1024)
            var count = Int32(list.count)
            let isWhole = getgrouplist(name, entry.pw_gid, &list, &count) >= 0
            return Person(name: String(cString: name), groups: isWhole ? Set(list.prefix(Int(count))) : [])
        }
    }
}
