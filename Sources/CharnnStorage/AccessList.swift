/// A POSIX access list, and who may do what by it (acl(5)).
public struct AccessList: Hashable, Sendable {
    /// Of whom an entry speaks.
    public enum Who: Hashable, Sendable {
        case owner
        case user(UInt32)
        case owningGroup
        case group(UInt32)
        /// The most that named users and groups have.
        case mask
        case other
    }

    /// One line of a list as `getfacl` prints it.
    public struct Entry: Hashable, Sendable {
        public let who: Who
        /// 4 to read, 2 to write, 1 to pass.
        public let rights: UInt32
    }

    /// In the kernel's order: owner, users, owning group, groups, mask, others.
    public let entries: [Entry]

    /// - Parameters:
    ///   - mode: What owner, owning group and others have; its last nine bits.
    ///   - named: What users and groups have beside them.
    public init(_ mode: FileMode, named: [(who: Who, rights: UInt32)] = []) {
        let group = mode.bits >> 3 & 7
        var entries = [
            Entry(who: .owner, rights: mode.bits >> 6 & 7), Entry(who: .owningGroup, rights: group),
            Entry(who: .other, rights: mode.bits & 7),
        ]
        if !named.isEmpty {
            entries += named.map { Entry(who: $0.who, rights: $0.rights) }
            entries.append(Entry(who: .mask, rights: named.reduce(group) { $0 | $1.rights }))
        }
        self.entries = entries.sorted { Self.order($0.who) < Self.order($1.who) }
    }

    /// Reads the attribute `system.posix_acl_access`: a version and entries, little-endian.
    ///
    /// - Returns: nil for what is none.
    public init?(_ bytes: [UInt8]) {
        func number(_ start: Int, _ count: Int) -> UInt32 {
            (0..<count).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) }
        }
        guard bytes.count >= 4, bytes.count % 8 == 4, number(0, 4) == Self.version else { return nil }
        var entries: [Entry] = []
        for start in stride(from: 4, to: bytes.count, by: 8) {
            let (tag, rights, identifier) = (number(start, 2), number(start + 2, 2), number(start + 4, 4))
            guard let who = Self.who(tag, identifier) else { return nil }
            entries.append(Entry(who: who, rights: rights))
        }
        self.entries = entries
    }

    /// The attribute that says so.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        func add(_ value: UInt32, _ count: Int) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt32(index)))) }
        }
        add(Self.version, 4)
        for entry in entries {
            let (tag, identifier) = Self.numbers(entry.who)
            add(tag, 2)
            add(entry.rights, 2)
            add(identifier, 4)
        }
        return bytes
    }

    /// What the list grants an entry, the mask heeded; nil where it has no such entry.
    public func rights(of who: Who) -> UInt32? {
        guard let entry = entries.first(where: { $0.who == who }) else { return nil }
        switch who {
        case .owner, .other, .mask: return entry.rights
        case .user, .owningGroup, .group: return entry.rights & mask
        }
    }

    /// Whether a user who belongs to `groups` has a right on a file of that owner and group.
    public func permits(_ right: UInt32, user: UInt32, groups: Set<UInt32>, owner: UInt32, group: UInt32) -> Bool {
        func grants(_ rights: UInt32?) -> Bool { rights.map { $0 & right != 0 } ?? false }
        if user == owner { return grants(rights(of: .owner)) }
        if let own = rights(of: .user(user)) { return grants(own) }
        let fitting = entries.map(\.who).filter { who in
            switch who {
            case .owningGroup: groups.contains(group)
            case .group(let named): groups.contains(named)
            default: false
            }
        }
        if !fitting.isEmpty { return fitting.contains { grants(rights(of: $0)) } }
        return grants(rights(of: .other))
    }

    /// Whether each user who belongs to `member` has a right on a file of that group, whoever they are otherwise.
    public func permitsAll(_ right: UInt32, member: UInt32, group: UInt32) -> Bool {
        for case .user(let named) in entries.map(\.who) where rights(of: .user(named)).map({ $0 & right == 0 }) ?? true
        {
            return false
        }
        let own: [Who] = (group == member ? [.owningGroup] : []) + [.group(member)]
        let found = own.compactMap { rights(of: $0) }
        if !found.isEmpty { return found.contains { $0 & right != 0 } }
        return rights(of: .other).map { $0 & right != 0 } ?? false
    }

    private var mask: UInt32 { entries.first { $0.who == .mask }?.rights ?? 7 }

    private static let version: UInt32 = 2
    /// The identifier of entries that have none.
    private static let none = UInt32.max

    private static func who(_ tag: UInt32, _ identifier: UInt32) -> Who? {
        switch tag {
        case 1: .owner
        case 2: .user(identifier)
        case 4: .owningGroup
        case 8: .group(identifier)
        case 16: .mask
        case 32: .other
        default: nil
        }
    }

    private static func numbers(_ who: Who) -> (tag: UInt32, identifier: UInt32) {
        switch who {
        case .owner: (1, none)
        case .user(let user): (2, user)
        case .owningGroup: (4, none)
        case .group(let group): (8, group)
        case .mask: (16, none)
        case .other: (32, none)
        }
    }

    /// The kernel takes them in the order of tags and identifiers only.
    private static func order(_ who: Who) -> UInt64 {
        let (tag, identifier) = numbers(who)
        return UInt64(tag) << 32 | UInt64(identifier)
    }
}
