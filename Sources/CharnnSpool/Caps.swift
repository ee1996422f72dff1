internal import CharnnWords
public import SystemPackage

/// The most that one person may ask for, and where the administrator has said so.
public struct Caps: Sendable, Equatable {
    /// One limit with the key that sets it, such as `caps.users.alice.time`.
    public struct Cap<Value: Sendable & Equatable>: Sendable, Equatable {
        public var value: Value
        public var key: String

        public init(_ value: Value, _ key: String) {
            self.value = value
            self.key = key
        }
    }

    public var lowestPriority: Cap<Int>?
    public var highestPriority: Cap<Int>?
    /// Seconds of work on one job, over all its attempts.
    public var time: Cap<Double>?
    /// Bytes of memory that a job may be predicted to need.
    public var memory: Cap<UInt64>?
    /// Bytes that a job's folder may have.
    public var disk: Cap<UInt64>?
    /// Characters of one text that is written.
    public var textLength: Cap<Int>?
    /// Texts that one job writes.
    public var texts: Cap<Int>?
    /// Jobs that wait at a time, held ones among them.
    public var queued: Cap<Int>?

    public init() {}

    /// No limits at all.
    public static let none = Caps()

    /// The cap that a job file breaks, as its submitter is told; nil: none.
    ///
    /// - Parameter queued: Jobs of the same person that wait already; nil: their number does not matter.
    public func violation(of wanted: JobRequirements, queued waiting: Int? = nil) -> String? {
        if let cap = lowestPriority, wanted.priority < cap.value {
            return Self.told("priority", "\(wanted.priority)", "at least \(cap.value)", cap.key)
        }
        if let cap = highestPriority, wanted.priority > cap.value {
            return Self.told("priority", "\(wanted.priority)", "at most \(cap.value)", cap.key)
        }
        if let cap = textLength, wanted.textLength > cap.value {
            return Self.told("generate.length", "\(wanted.textLength)", "at most \(cap.value) characters", cap.key)
        }
        if let cap = texts, wanted.textCount > cap.value {
            return Self.told("generate.count", "\(wanted.textCount) texts", "at most \(cap.value)", cap.key)
        }
        if let cap = memory, wanted.memory > cap.value {
            return Self.told("memory", "\(byteCount(wanted.memory)) needed", "at most \(byteCount(cap.value))", cap.key)
        }
        if let cap = queued, let waiting, waiting >= cap.value {
            return
                "queued: \(waiting) of your jobs wait already; allowed: \(cap.value) (\(cap.key)). Drop it again when "
                + "some have run, or cancel some"
        }
        return nil
    }

    private static func told(_ what: String, _ found: String, _ allowed: String, _ key: String) -> String {
        "\(what): found \(found); allowed: \(allowed) (\(key), set by the administrator)"
    }

    /// The same where a person's own word goes before that of others: each limit that `self` lacks is `other`'s.
    public func completed(by other: Caps) -> Caps {
        var caps = self
        caps.lowestPriority = lowestPriority ?? other.lowestPriority
        caps.highestPriority = highestPriority ?? other.highestPriority
        caps.time = time ?? other.time
        caps.memory = memory ?? other.memory
        caps.disk = disk ?? other.disk
        caps.textLength = textLength ?? other.textLength
        caps.texts = texts ?? other.texts
        caps.queued = queued ?? other.queued
        return caps
    }

    /// Of two groups' words the more generous.
    public func widened(by other: Caps) -> Caps {
        func most<Value: Comparable>(_ a: Cap<Value>?, _ b: Cap<Value>?) -> Cap<Value>? {
            guard let a, let b else { return a ?? b }
            return b.value > a.value ? b : a
        }
        var caps = self
        if let low = other.lowestPriority, low.value < lowestPriority?.value ?? .max { caps.lowestPriority = low }
        caps.highestPriority = most(highestPriority, other.highestPriority)
        caps.time = most(time, other.time)
        caps.memory = most(memory, other.memory)
        caps.disk = most(disk, other.disk)
        caps.textLength = most(textLength, other.textLength)
        caps.texts = most(texts, other.texts)
        caps.queued = most(queued, other.queued)
        return caps
    }
}

/// What the administrator has decided that the queue must know.
public struct SpoolRules: Sendable {
    /// Folders beside `corpora/` and `jobs/` below which texts and models lie.
    public var corpusRoots: [FilePath]
    /// Seconds for which a job whose turn has come waits for a text that is missing.
    public var textGrace: Double
    /// What a user may ask for; of a job whose submitter is not known, nil.
    public var caps: @Sendable (UInt32?) -> Caps

    public init(
        corpusRoots: [FilePath] = [], textGrace: Double = 600,
        caps: @escaping @Sendable (UInt32?) -> Caps = { _ in .none }
    ) {
        self.corpusRoots = corpusRoots
        self.textGrace = textGrace
        self.caps = caps
    }
}
