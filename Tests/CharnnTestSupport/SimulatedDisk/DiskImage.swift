public import CharnnStorage
public import SystemPackage

/// A file system in memory that knows of everything whether it has reached the disk.
///
/// A value: a copy costs nothing, so that the disk before each operation can be kept and brought to a power failure
/// there. What a failure may leave is told at ``outcome(_:)``.
///
/// The rules of the simulated journal, chosen as weak as code may rely on nowhere stronger:
/// 1. What a file holds is on disk after its sync, the names in a directory after that directory's sync. A file's sync
///    does nothing for its name.
/// 2. A change of names is there or not, as a whole. Changes that touch the same name or the same file keep their
///    order; all others reach the disk in any order, in one directory too.
/// 3. A rename that replaces, and the rename of a directory, is one change: old or new. A rename that must not replace
///    is a new name and then the loss of the old one, as on file systems without `RENAME_NOREPLACE`: old, both or new.
/// 4. After a failed sync of a file the pages count as clean: later syncs succeed and do nothing for them.
/// 5. Permission bits are on disk at once, an access list after the next sync of what it is of.
public struct DiskImage: Sendable {
    /// A name as a file system compares it: by its bytes, where strings are the same in either form of Unicode.
    struct Name: Hashable, Comparable, Sendable {
        let text: String

        init(_ text: some StringProtocol) { self.text = String(text) }

        static func == (a: Name, b: Name) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

        static func < (a: Name, b: Name) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    struct Node: Sendable {
        var kind: FileStatus.Kind
        var bytes: [UInt8] = []
        /// What a power failure leaves for certain.
        var durable: [UInt8] = []
        /// The sizes it had between the writes since the last sync.
        var sizes: [Int] = []
        /// Whether a sync failed, so that what was written before never reaches the disk.
        var isLost = false
        /// A directory's names, as processes see them and as the disk has them.
        var names: [Name: Int] = [:]
        var durableNames: [Name: Int] = [:]
        var mode: CharnnStorage.FileMode
        var owner: UInt32
        var modified: Double
        var links = 1
        /// The access list, as processes see it and as the disk has it.
        var accessList: [UInt8]?
        var durableAccessList: [UInt8]?
        /// Whether it can be neither removed nor renamed, as by `chattr +i`.
        var isProtected = false

        var isDirty: Bool { kind == .regular && bytes != durable }
    }

    /// One change of names that the disk does not have yet.
    struct Change: Sendable {
        enum Effect: Sendable {
            case set(directory: Int, name: Name, node: Int)
            case clear(directory: Int, name: Name, node: Int)
        }
        var number: Int
        var effects: [Effect]
        /// The numbers of changes that must be on disk before this one.
        var needs: [Int]
    }

    static let root = 1

    var nodes: [Int: Node]
    var changes: [Change] = []
    private var lastNode = root
    private var lastChange = 0
    /// Whoever makes files, by number.
    public var user: UInt32 = 1000
    /// Seconds since 1970; goes on a little with every change.
    public var time = 1_700_000_000.0
    /// Whether it can be told that somebody writes to a file: nobody ever does.
    public var tellsWriters = true
    /// Whether files can have access lists beside their permission bits.
    public var hasAccessLists = true
    /// Bytes that all files together may have; nil: no limit.
    public var capacity: Int?
    /// Files and directories that there may be; nil: no limit.
    public var mostFiles: Int?

    /// An empty disk.
    public init() {
        nodes = [Self.root: Node(kind: .directory, mode: 0o755, owner: 0, modified: 0)]
    }

    // MARK: - Looking

    func node(at path: FilePath) -> Int? {
        var current = Self.root
        for name in path.string.utf8.split(separator: UInt8(ascii: "/")) where !name.elementsEqual(".".utf8) {
            guard let next = nodes[current]?.names[Name(Substring(name))] else { return nil }
            current = next
        }
        return current
    }

    /// The directory in which a path's last name stands, and that name.
    func place(of path: FilePath) -> (directory: Int, name: Name)? {
        let names = path.string.utf8.split(separator: UInt8(ascii: "/"))
        guard let last = names.last else { return nil }
        var current = Self.root
        for name in names.dropLast() {
            guard let next = nodes[current]?.names[Name(Substring(name))] else { return nil }
            current = next
        }
        guard nodes[current]?.kind == .directory else { return nil }
        return (current, Name(Substring(last)))
    }

    func status(of number: Int) -> FileStatus? {
        guard let node = nodes[number] else { return nil }
        return FileStatus(
            kind: node.kind, size: node.bytes.count, mode: node.mode, owner: node.owner, group: node.owner, device: 1,
            inode: UInt64(number), links: node.links, modified: node.modified,
            changed: node.modified)
    }

    /// Bytes of all files that have a name.
    public var used: Int { nodes.values.reduce(0) { $0 + ($1.links > 0 ? $1.bytes.count : 0) } }

    /// All regular files by path, with what processes see in them.
    public var files: [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        func walk(_ number: Int, _ path: String) {
            guard let node = nodes[number] else { return }
            if node.kind == .regular { found[path] = node.bytes }
            for (name, next) in node.names { walk(next, path + "/" + name.text) }
        }
        walk(Self.root, "")
        return found
    }

    /// Who may do what with something, by its access list or its permission bits; nil where nothing is.
    public func rights(at path: FilePath) -> AccessList? {
        guard let number = node(at: path), let node = nodes[number] else { return nil }
        return node.accessList.flatMap { AccessList($0) } ?? AccessList(node.mode)
    }

    /// Whether some kind of user cannot read a file, by its own rights or those of a folder on the way.
    public func isShut(_ path: FilePath, to who: AccessList.Who) -> Bool {
        let names = path.components
        return (1...max(1, names.count)).contains { count in
            let list = rights(at: FilePath(root: "/", names.prefix(count)))
            return list?.rights(of: who).map { $0 & (count == names.count ? 4 : 1) == 0 } ?? true
        }
    }

    /// Whether something is there.
    public func has(_ path: FilePath) -> Bool { node(at: path) != nil }

    // MARK: - Changing

    mutating func make(_ kind: FileStatus.Kind, in directory: Int, _ name: Name, mode: CharnnStorage.FileMode) -> Int {
        lastNode += 1
        time += 0.001
        nodes[lastNode] = Node(kind: kind, mode: mode, owner: user, modified: time)
        nodes[directory]?.names[name] = lastNode
        note([.set(directory: directory, name: name, node: lastNode)])
        return lastNode
    }

    mutating func append(_ bytes: some Collection<UInt8>, to number: Int) {
        guard !bytes.isEmpty, var node = nodes.removeValue(forKey: number) else { return }
        time += 0.001
        if node.isDirty || node.sizes.isEmpty { node.sizes.append(node.bytes.count) }
        node.bytes += bytes
        node.modified = time
        nodes[number] = node
    }

    mutating func truncate(_ number: Int, to size: Int) {
        guard var node = nodes.removeValue(forKey: number) else { return }
        time += 0.001
        node.sizes.append(node.bytes.count)
        if size < node.bytes.count {
            node.bytes.removeLast(node.bytes.count - size)
        } else {
            node.bytes += [UInt8](repeating: 0, count: size - node.bytes.count)
        }
        node.modified = time
        nodes[number] = node
    }

    mutating func remove(_ name: Name, from directory: Int, _ number: Int) {
        nodes[directory]?.names[name] = nil
        nodes[number]?.links -= 1
        var needs: [Int] = []
        if nodes[number]?.kind == .directory {
            // An empty directory on disk before it can go there.
            needs = changes.filter { $0.touches(directory: number) }.map(\.number)
        }
        note([.clear(directory: directory, name: name, node: number)], needs)
    }

    mutating func move(
        _ number: Int, from source: (directory: Int, name: Name), to target: (directory: Int, name: Name),
        replacing: Bool
    ) {
        if let old = nodes[target.directory]?.names[target.name] { nodes[old]?.links -= 1 }
        nodes[source.directory]?.names[source.name] = nil
        nodes[target.directory]?.names[target.name] = number
        let effects: [Change.Effect] = [
            .set(directory: target.directory, name: target.name, node: number),
            .clear(directory: source.directory, name: source.name, node: number),
        ]
        if replacing || nodes[number]?.kind == .directory {
            note(effects)
        } else {
            for effect in effects { note([effect]) }
        }
    }

    /// Puts a file there with all of it on disk, as one that has been there for long.
    public mutating func put(_ path: FilePath, _ bytes: [UInt8], owner: UInt32? = nil) {
        guard let place = place(of: path) else { preconditionFailure("\(path) has no directory") }
        if let old = nodes[place.directory]?.names[place.name] { nodes[old]?.links -= 1 }
        let number = make(.regular, in: place.directory, place.name, mode: 0o644)
        append(bytes, to: number)
        if let owner { nodes[number]?.owner = owner }
        synchronize(number)
        synchronizeDirectory(place.directory)
    }

    /// Lets a file be removed and renamed, or not.
    public mutating func protect(_ path: FilePath, _ isProtected: Bool = true) {
        if let number = node(at: path) { nodes[number]?.isProtected = isProtected }
    }

    /// Gives a file another name, on disk too.
    public mutating func link(_ path: FilePath, as other: FilePath) {
        guard let number = node(at: path), let place = place(of: other) else {
            preconditionFailure("\(path) cannot be called \(other)")
        }
        nodes[number]?.links += 1
        nodes[place.directory]?.names[place.name] = number
        note([.set(directory: place.directory, name: place.name, node: number)])
        synchronizeDirectory(place.directory)
    }

    /// Takes a file away, on disk too.
    public mutating func drop(_ path: FilePath) {
        guard let place = place(of: path), let number = node(at: path) else { return }
        remove(place.name, from: place.directory, number)
        synchronizeDirectory(place.directory)
    }

    /// Notes a change of names that is not on disk yet.
    private mutating func note(_ effects: [Change.Effect], _ more: [Int] = []) {
        lastChange += 1
        let needs = changes.filter { earlier in effects.contains { earlier.touches($0) } }.map(\.number)
        changes.append(Change(number: lastChange, effects: effects, needs: needs + more))
    }

    // MARK: - Syncs

    mutating func synchronize(_ number: Int) {
        guard let node = nodes[number], !node.isLost else { return }
        nodes[number]?.durable = node.bytes
        nodes[number]?.sizes = []
        nodes[number]?.durableAccessList = node.accessList
    }

    mutating func failSynchronizing(_ number: Int) {
        if nodes[number]?.isDirty == true { nodes[number]?.isLost = true }
    }

    mutating func synchronizeDirectory(_ number: Int) {
        let accessList = nodes[number]?.accessList
        nodes[number]?.durableAccessList = accessList
        var wanted = Set(changes.filter { $0.touches(directory: number) }.map(\.number))
        for change in changes.reversed() where wanted.contains(change.number) { wanted.formUnion(change.needs) }
        for change in changes where wanted.contains(change.number) { apply(change) }
        changes.removeAll { wanted.contains($0.number) }
    }

    /// Everything is on disk.
    public mutating func synchronizeAll() {
        for change in changes { apply(change) }
        changes = []
        for (number, node) in nodes { nodes[number]?.durableAccessList = node.accessList }
        for (number, node) in nodes where node.kind == .regular {
            nodes[number]?.isLost = false
            nodes[number]?.durable = node.bytes
            nodes[number]?.sizes = []
        }
    }

    mutating func apply(_ change: Change) {
        for effect in change.effects {
            switch effect {
            case .set(let directory, let name, let node): nodes[directory]?.durableNames[name] = node
            case .clear(let directory, let name, let node):
                // Another change may have given the name to another file already.
                if nodes[directory]?.durableNames[name] == node { nodes[directory]?.durableNames[name] = nil }
            }
        }
    }
}

extension DiskImage.Change {
    func touches(directory number: Int) -> Bool {
        effects.contains {
            switch $0 {
            case .set(let directory, _, _), .clear(let directory, _, _): directory == number
            }
        }
    }

    func touches(_ other: Effect) -> Bool {
        effects.contains { effect in
            let (one, two) = (effect.parts, other.parts)
            return one.node == two.node || (one.directory == two.directory && one.name == two.name)
        }
    }
}

extension DiskImage.Change.Effect {
    fileprivate var parts: (directory: Int, name: DiskImage.Name, node: Int) {
        switch self {
        case .set(let directory, let name, let node), .clear(let directory, let name, let node): (directory, name, node)
        }
    }
}
