/// A POSIX access list, and who may do what by it (acl(5)).
struct AccessList {
    /// What an entry speaks of, as Linux numbers it.
    private enum Tag: UInt16 {
        case owner = 1
        case user = 2
        case owningGroup = 4
        case group = 8
        case mask = 16
        case other = 32
    }

    private struct Entry {
        let tag: Tag
        /// 4 to read, 2 to write, 1 to pass.
        let rights: UInt16
        let identifier: UInt32
    }

    private let entries: [Entry]

    /// Reads the attribute `system.posix_acl_access`: a version and entries, little-endian.
    ///
    /// - Returns: nil for what is none.
    init?(_ bytes: [UInt8]) {
        func number(_ start: Int, _ count: Int) -> UInt32 {
            (0..<count).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) }
        }
        guard bytes.count >= 4, bytes.count % 8 == 4, number(0, 4) == 2 else { return nil }
        var entries: [Entry] = []
        for start in stride(from: 4, to: bytes.count, by: 8) {
            guard let tag = Tag(rawValue: UInt16(number(start, 2))) else { return nil }
            entries.append(
                Entry(tag: tag, rights: UInt16(number(start + 2, 2)), identifier: number(start + 4, 4)))
        }
        self.entries = entries
    }

    /// Whether a user who belongs to `groups` has a right on a file of that owner and group.
    func permits(_ right: UInt32, user: UInt32, groups: Set<UInt32>, owner: UInt32, group: UInt32) -> Bool {
        let mask = entries.first { $0.tag == .mask }?.rights ?? 7
        func grants(_ entry: Entry?, masked: Bool) -> Bool {
            entry.map { UInt32($0.rights & (masked ? mask : 7)) & right != 0 } ?? false
        }
        if user == owner { return grants(entries.first { $0.tag == .owner }, masked: false) }
        if let own = entries.first(where: { $0.tag == .user && $0.identifier == user }) {
            return grants(own, masked: true)
        }
        let fitting = entries.filter {
            $0.tag == .owningGroup && groups.contains(group) || $0.tag == .group && groups.contains($0.identifier)
        }
        if !fitting.isEmpty { return fitting.contains { grants($0, masked: true) } }
        return grants(entries.first { $0.tag == .other }, masked: false)
    }
}
