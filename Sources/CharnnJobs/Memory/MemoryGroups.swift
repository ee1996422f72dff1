import FoundationEssentials

/// The control groups that bound this process's memory, from its own upwards, in either version of the kernel's
/// interface (cgroups(7)).
///
/// Found once, at initialisation; limits and counts are read anew at each call. Whatever cannot be read is left out: in
/// a container much of it is not shown.
public struct MemoryGroups: Sendable {
    private enum Version { case one, two }

    /// The folders of the groups as this process sees them, its own first, and of which version each is.
    private let groups: [(folder: String, version: Version)]

    /// - Parameter root: Stands before `/proc` and `/sys`.
    public init(root: String = "") {
        let memberships = Self.text("\(root)/proc/self/cgroup")?.split(separator: "\n") ?? []
        let mounts = Self.text("\(root)/proc/self/mountinfo")?.split(separator: "\n") ?? []
        groups = memberships.flatMap { line -> [(folder: String, version: Version)] in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return [] }
            let version: Version
            // `0::/path` is version 2; of version 1 each controller has a line, and both may be mounted.
            if fields[0] == "0", fields[1].isEmpty {
                version = .two
            } else if fields[1].split(separator: ",").contains("memory") {
                version = .one
            } else {
                return []
            }
            guard let mount = mounts.lazy.compactMap({ Self.mount($0, version) }).first else { return [] }
            return Self.folders(of: String(fields[2]), in: mount).map { (root + $0, version) }
        }
    }

    /// The smallest limit of all groups, bytes, and the file that says it; nil: none of them has one.
    public var limit: (bytes: UInt64, file: String)? {
        groups.compactMap { folder, version -> (bytes: UInt64, file: String)? in
            let file = version == .two ? "\(folder)/memory.max" : "\(folder)/memory.limit_in_bytes"
            // "max", or in version 1 a number beyond all memory, means none.
            guard let bytes = Self.text(file).flatMap({ UInt64($0.filter { !$0.isWhitespace }) }), bytes < 1 << 60
            else { return nil }
            return (bytes, file)
        }.min { $0.bytes < $1.bytes }
    }

    /// How many processes of this process's own group were killed so far because memory ran out; nil where the kernel
    /// does not count them.
    public var kills: UInt64? {
        for (folder, version) in groups {
            let file = version == .two ? "\(folder)/memory.events" : "\(folder)/memory.oom_control"
            guard let line = Self.text(file)?.split(separator: "\n").first(where: { $0.hasPrefix("oom_kill ") })
            else { continue }
            return UInt64(line.dropFirst("oom_kill ".count))
        }
        return nil
    }

    /// The folders of a group and of all above it that are shown.
    private static func folders(of group: String, in mount: (root: String, point: String)) -> [String] {
        // What lies outside of what is mounted is shown as the mount itself, as in a container.
        var names = group.split(separator: "/")[...]
        let hidden = mount.root.split(separator: "/")
        names = names.starts(with: hidden) && !names.contains("..") ? names.dropFirst(hidden.count) : []
        return (0...names.count).reversed().map { count in
            ([mount.point] + names.prefix(count).map(String.init)).joined(separator: "/")
        }
    }

    /// Where the groups of a version are mounted, of a line of mountinfo; nil: it is the line of something else.
    private static func mount(_ line: Substring, _ version: Version) -> (root: String, point: String)? {
        let fields = line.split(separator: " ")
        guard let separator = fields.firstIndex(of: "-"), separator >= 5, separator + 3 < fields.count else {
            return nil
        }
        let isMeant =
            switch version {
            case .two: fields[separator + 1] == "cgroup2"
            case .one:
                fields[separator + 1] == "cgroup" && fields[separator + 3].split(separator: ",").contains("memory")
            }
        return isMeant ? (String(fields[3]), String(fields[4])) : nil
    }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
