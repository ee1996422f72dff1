/// What of the work that no sync had confirmed reached the disk before the power went.
public struct PowerFailure: Sendable {
    /// What is left of a file's unconfirmed bytes.
    public enum Data: Sendable, CaseIterable {
        /// Nothing; the size is the old one.
        case none
        case whole
        /// A beginning, cut at a write or at a block.
        case torn
        /// The size is the new one, the bytes never came.
        case zeros
        /// The size is the new one, with what the blocks held before.
        case garbage
        /// Every block for itself: new, zeros or garbage.
        case mixed
    }

    /// For each unconfirmed change of names, in order, whether it arrived; those that need one which did not, did not.
    public var changes: [Bool]
    /// For each unconfirmed file, in the order of their numbers.
    public var data: [Data]
    /// For where a file is torn, and the bytes of garbage.
    public var seed: UInt64
}

extension DiskImage {
    /// How many changes of names and files are unconfirmed.
    public var unconfirmed: (changes: Int, files: Int) {
        (changes.count, nodes.values.count { $0.isDirty })
    }

    /// Power failures at this moment: all there are if they are few, else the extremes and then random ones.
    ///
    /// - Parameters:
    ///   - limit: The most that are returned.
    ///   - seed: Decides the random ones, and which of the extremes where the limit has no room for all.
    ///   - isRepeated: Whether others have been tried here before with the same limit: then only random ones are new,
    ///     and none where they are few.
    public func powerFailures(limit: Int, seed: UInt64, isRepeated: Bool = false) -> [PowerFailure] {
        let (names, files) = unconfirmed
        var random = SplitMix(seed)
        func all(_ arrived: Bool, _ data: PowerFailure.Data) -> PowerFailure {
            PowerFailure(
                changes: .init(repeating: arrived, count: names), data: .init(repeating: data, count: files),
                seed: random.next())
        }
        var found: [PowerFailure] = []
        let kinds = PowerFailure.Data.allCases
        let combinations = names < 20 && files < 6 ? (0..<files).reduce(1 << names) { count, _ in count * 6 } : .max
        if combinations <= limit {
            for combination in 0..<(isRepeated ? 0 : combinations) {
                var rest = combination >> names
                let data = (0..<files).map { _ in
                    defer { rest /= kinds.count }
                    return kinds[rest % kinds.count]
                }
                found.append(
                    PowerFailure(
                        changes: (0..<names).map { combination >> $0 & 1 == 1 }, data: data, seed: random.next()))
            }
            return found
        }
        func chance() -> PowerFailure {
            let likely = random.next() % 3
            return PowerFailure(
                changes: (0..<names).map { _ in random.next() % 4 <= likely },
                data: (0..<files).map { _ in kinds[Int(random.next() % UInt64(kinds.count))] }, seed: random.next())
        }
        if !isRepeated {
            for data in kinds { found.append(all(true, data)) }
            found.append(all(false, .whole))
            // Each change alone missing, and each alone there, as far as needs allow.
            for index in 0..<names {
                for arrived in [true, false] {
                    var failure = all(arrived, .whole)
                    failure.changes[index] = !arrived
                    found.append(failure)
                }
            }
            if found.count > limit {
                // Random ones have their chance beside them.
                for _ in 0..<limit { found.append(chance()) }
                found.shuffle(using: &random)
                found.removeLast(found.count - limit)
            }
        }
        while found.count < limit { found.append(chance()) }
        return found
    }

    /// The disk as it is found after the power failure.
    public func outcome(_ failure: PowerFailure) -> DiskImage {
        var image = self
        var missing: Set<Int> = []
        for (change, arrived) in zip(changes, failure.changes) {
            if arrived, missing.isDisjoint(with: change.needs) {
                image.apply(change)
            } else {
                missing.insert(change.number)
            }
        }
        image.changes = []
        var random = SplitMix(failure.seed)
        let dirty = nodes.filter { $0.value.isDirty }.keys.sorted()
        for (number, data) in zip(dirty, failure.data) {
            guard let node = nodes[number] else { continue }
            image.nodes[number]?.bytes = Self.rest(of: node, data, &random)
        }
        image.forgetVolatile()
        return image
    }

    /// Only what the disk has is left, and only what has a name there.
    private mutating func forgetVolatile() {
        var links: [Int: Int] = [:]
        var order = [Self.root]
        var position = 0
        while position < order.count {
            for next in (nodes[order[position]]?.durableNames ?? [:]).values {
                if links[next] == nil { order.append(next) }
                links[next, default: 0] += 1
            }
            position += 1
        }
        var kept: [Int: Node] = [:]
        for number in order {
            guard var node = nodes[number] else { continue }
            node.names = node.durableNames
            node.durable = node.bytes
            node.accessList = node.durableAccessList
            node.sizes = []
            node.isLost = false
            node.links = links[number] ?? 1
            kept[number] = node
        }
        nodes = kept
    }

    private static func rest(of node: Node, _ data: PowerFailure.Data, _ random: inout SplitMix) -> [UInt8] {
        let (old, new) = (node.durable, node.bytes)
        // What a failed sync marked as clean is not written any more.
        if node.isLost { return data == .zeros && new.count > old.count ? old + zeros(new.count - old.count) : old }
        guard new.count > old.count, new.starts(with: old) else { return data == .whole ? new : old }
        switch data {
        case .none: return old
        case .whole: return new
        case .torn:
            let block = random.next() % 2 == 0 ? 512 : 4096
            var sizes = node.sizes.filter { $0 > old.count && $0 < new.count }
            sizes += stride(from: (old.count / block + 1) * block, to: new.count, by: block)
            guard !sizes.isEmpty else { return old }
            return Array(new.prefix(sizes[Int(random.next() % UInt64(sizes.count))]))
        case .zeros: return old + zeros(new.count - old.count)
        case .garbage: return old + (old.count..<new.count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        case .mixed:
            let block = random.next() % 2 == 0 ? 512 : 4096
            var bytes = new
            var start = old.count
            while start < bytes.count {
                let end = min((start / block + 1) * block, bytes.count)
                switch random.next() % 3 {
                case 0: for index in start..<end { bytes[index] = 0 }
                case 1: for index in start..<end { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
                default: break
                }
                start = end
            }
            return bytes
        }
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    /// A number that differs where the disk differs: in a name, a byte, or in which names are one file.
    public var fingerprint: UInt64 {
        var hash = Fingerprint()
        var seen: [Int: Int] = [:]
        func walk(_ number: Int) {
            guard let node = nodes[number] else { return }
            if let first = seen[number] { return hash.add(UInt64(first)) }
            seen[number] = seen.count
            hash.add(UInt64(node.bytes.count))
            node.bytes.withUnsafeBytes { hash.add($0) }
            for (name, next) in node.names.sorted(by: { $0.key < $1.key }) {
                for byte in name.text.utf8 { hash.add(UInt64(byte)) }
                walk(next)
            }
            hash.add(0xFFFF)
        }
        walk(Self.root)
        return hash.value
    }
}

/// FNV-1a over words.
struct Fingerprint {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x100_0000_01B3
        value ^= value >> 29
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        while offset + 8 <= bytes.count {
            add(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        for byte in bytes[offset...] { add(UInt64(byte)) }
    }
}

/// Random numbers that a seed decides (SplitMix64).
public struct SplitMix: RandomNumberGenerator, Sendable {
    private var state: UInt64
    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}
