/// N-grams that go on counting: each character is predicted from what was counted before it, and then counted.
///
/// Witten and Bell's interpolation as in ``NGramModel``, with contexts of up to ``order`` characters. The probabilities
/// of all characters sum to one, whatever was left out, so that their logarithms are honest code lengths.
///
/// Strings of one to `order + 1` characters are kept in one open hash table by 64 bits of their own, 20 bytes an entry;
/// two that came out the same would be counted together, which in a full table has a chance of one in ten thousand.
/// Where the table is full, strings that it lacks are not counted, and neither is that something followed their context.
public struct AdaptiveNGrams: Sendable {
    /// The most characters of context.
    public static let order = 7
    /// The most memory that a table takes, with what is needed to make it grow: bytes.
    public static let mostMemory = 1 << 30
    /// Characters that are counted together where a text is too long for all of it.
    private static let piece = 1 << 18

    private struct Entry {
        /// The halves of the string's key; 0: the place is free.
        var low: UInt32 = 0
        var high: UInt32 = 0
        var occurrences: UInt32 = 0
        /// How often something followed it that was counted, and how many different characters did.
        var followed: UInt32 = 0
        var followers: UInt32 = 0

        var key: UInt64 { UInt64(high) << 32 | UInt64(low) }
    }

    private var entries: [Entry]
    private var used = 0
    /// Places at most: a table is copied as it grows to twice its size.
    private let largest: Int
    private let alphabet: Int
    /// The context of no characters.
    private var root = Entry()
    /// `[k]`: of the last k characters, what their key comes from and where they stand; -1: nowhere.
    private var contexts = [(hash: UInt64, place: Int)](repeating: (0, -1), count: order + 1)
    /// How many there are since the text began.
    private var known = 0
    /// Where those stand that a character makes of them.
    private var places = [Int](repeating: -1, count: order + 1)

    /// - Parameters:
    ///   - alphabet: The number of different characters that can come, at least 1.
    ///   - memory: The most that it takes, bytes; at least some kilobytes.
    public init(alphabet: Int, memory: Int = mostMemory) {
        self.alphabet = alphabet
        var capacity = 1 << 10
        while capacity * 3 * MemoryLayout<Entry>.stride <= memory { capacity *= 2 }
        largest = capacity
        entries = [Entry](repeating: Entry(), count: min(capacity, 1 << 16))
    }

    /// Forgets what stood before: what comes next has no context.
    public mutating func beginText() { known = 0 }

    /// How likely a character is to come next.
    ///
    /// - Returns: Its probability, and how long a context was found: a number below ``contextKinds``, another one for contexts
    ///   that occurred four times or more.
    public func probability(of symbol: Int32) -> (value: Double, context: Int) {
        var (value, context) = (1 / Double(alphabet), 0)
        for length in 0...known {
            let place = contexts[length].place
            guard length == 0 || place >= 0 else { break }
            let found = length == 0 ? root : entries[place]
            guard found.followed > 0 else { break }
            let own = find(key(of: symbol, after: length)).map { Double(entries[$0].occurrences) } ?? 0
            let followers = Double(found.followers)
            value = (own + followers * value) / (Double(found.followed) + followers)
            context = length + (found.followed < 4 ? 1 : Self.order + 2)
        }
        return (value, context)
    }

    /// How many kinds of context ``probability(of:)`` tells apart.
    public static let contextKinds = 2 * order + 3

    /// Counts a character that has come.
    public mutating func count(_ symbol: Int32) {
        makeRoom()
        for length in places.indices { places[length] = -1 }
        for length in 0...known {
            let context = contexts[length].place
            guard length == 0 || context >= 0, let place = insert(key(of: symbol, after: length)) else { continue }
            let isNew = entries[place].occurrences == 0
            // Beyond four thousand millions nothing changes any more.
            guard entries[place].occurrences < .max, root.followed < .max else { continue }
            entries[place].occurrences += 1
            if length == 0 {
                root.followed += 1
                root.followers += isNew ? 1 : 0
            } else {
                entries[context].followed += 1
                entries[context].followers += isNew ? 1 : 0
            }
            if length < Self.order { places[length + 1] = place }
        }
        known = min(known + 1, Self.order)
        for length in (1...known).reversed() {
            contexts[length] = (Self.appending(symbol, to: contexts[length - 1].hash), places[length])
        }
    }

    /// Counts a text, or of one that is too long as much of its end as there is room for.
    ///
    /// - Parameters:
    ///   - reserved: Characters for which room is left; at most a quarter of the table.
    ///   - symbol: The character at a place.
    ///   - shouldStop: Asked now and then.
    /// - Returns: What was counted; nil if it was stopped.
    public mutating func count(
        _ text: Range<Int>, reserving reserved: Int, symbol: (Int) -> Int32, shouldStop: () -> Bool = { false }
    ) -> Range<Int>? {
        let most = largest / 4 * 3
        // A character makes so many new strings at most.
        let room = most - min(reserved * (Self.order + 1), most / 4)
        let fits = used + text.count * (Self.order + 1) <= room
        var counted = text.upperBound..<text.upperBound
        while counted.lowerBound > text.lowerBound {
            let piece = fits ? text.count : min(Self.piece, counted.lowerBound - text.lowerBound)
            guard used + piece * (Self.order + 1) <= room else { break }
            let first = counted.lowerBound - piece
            beginText()
            for position in first..<counted.lowerBound {
                if position & 0xFFFF == 0, shouldStop() { return nil }
                count(symbol(position))
            }
            counted = first..<counted.upperBound
        }
        beginText()
        return counted
    }

    // MARK: - The table

    /// A polynomial modulo 2^64, so that a string's follows from that of the string before its last character.
    private static func appending(_ symbol: Int32, to hash: UInt64) -> UInt64 {
        (hash &+ UInt64(bitPattern: Int64(symbol)) &+ 1) &* 0x9E37_79B9_7F4A_7C15
    }

    private func key(of symbol: Int32, after length: Int) -> UInt64 {
        Self.key(Self.appending(symbol, to: contexts[length].hash), length: length + 1)
    }

    /// Mixed so that each bit depends on all others (the finaliser of MurmurHash3); never 0.
    private static func key(_ hash: UInt64, length: Int) -> UInt64 {
        var key = hash &+ UInt64(length) &* 0xD1B5_4A32_D192_ED03
        key = (key ^ key >> 33) &* 0xFF51_AFD7_ED55_8CCD
        key = (key ^ key >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return max(1, key ^ key >> 33)
    }

    private func find(_ key: UInt64) -> Int? {
        let place = place(of: key)
        return entries[place].key == key ? place : nil
    }

    /// Where a string stands, or would stand.
    private func place(of key: UInt64) -> Int {
        let mask = entries.count - 1
        var place = Int(truncatingIfNeeded: key) & mask
        while entries[place].key != 0, entries[place].key != key { place = (place + 1) & mask }
        return place
    }

    /// nil: the table is full.
    private mutating func insert(_ key: UInt64) -> Int? {
        let place = place(of: key)
        if entries[place].key == key { return place }
        guard (used + 1) * 4 <= entries.count * 3 else { return nil }
        used += 1
        (entries[place].low, entries[place].high) = (UInt32(truncatingIfNeeded: key), UInt32(key >> 32))
        return place
    }

    /// Makes the table grow before a character could fill it.
    private mutating func makeRoom() {
        guard (used + Self.order + 1) * 4 > entries.count * 3, entries.count < largest else { return }
        let old = entries
        entries = [Entry](repeating: Entry(), count: 2 * old.count)
        for entry in old where entry.key != 0 { entries[place(of: entry.key)] = entry }
        for length in 0...known where contexts[length].place >= 0 {
            contexts[length].place = place(of: Self.key(contexts[length].hash, length: length))
        }
    }
}

/// Two experts' probabilities mixed, the second's weight learned as the text goes by: for each kind of context its own.
///
/// With `w` the weight before a character and `m` the mixture, the weight moves from `w` to the posterior `w q / m`, by
/// the part `1 / (n + 30)` after `n` characters of that kind: the running mean of who was right.
public struct ExpertMixture: Sendable {
    private var weights: [Double]
    private var counts: [Double]

    /// - Parameter kinds: How many kinds of context there are.
    public init(kinds: Int) {
        weights = [Double](repeating: 0.05, count: kinds)
        counts = [Double](repeating: 0, count: kinds)
    }

    /// The probability of a character under both, from which the weight then learns.
    public mutating func mix(_ first: Double, _ second: Double, context: Int) -> Double {
        let weight = weights[context]
        let mixed = (1 - weight) * first + weight * second
        guard mixed > 0 else { return 0 }
        counts[context] += 1
        let moved = weight + (weight * second / mixed - weight) / (counts[context] + 30)
        // Neither is ever left alone for good.
        weights[context] = min(0.9, max(0.002, moved))
        return mixed
    }
}
