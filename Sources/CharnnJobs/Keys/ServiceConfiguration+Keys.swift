import CharnnSpool

extension ServiceConfiguration: KeyedSection {
    static let section = Section<ServiceConfiguration>(
        keys: [
            Key(
                "corpus_roots", \.corpusRoots, .absolutePaths,
                "Folders beside `corpora/` and `jobs/` from which texts and models may be read."),
            Key(
                "spool", optional: \.spool, .absolutePath, default: .words("the program's own choice"),
                "The spool folder."),
            Key("device", \.device, .choice, "Of jobs that say `auto`."),
            Key(
                "threads", optional: \.threads, .integer(in: 1...4096), default: .words("all usable cores"),
                "Of jobs that do not say."),
            Key(
                "memory_limit", optional: \.memoryLimit, .size, default: .words("what the machine has"),
                """
                The most memory that a job may be predicted to need, such as `8G`. What the control groups of the \
                service leave (`MemoryMax=` of it and of the slices above it, or their limits in version 1) counts as \
                well: a job that needs more is refused, and one that is killed because memory ran out is told what it \
                needs and what there is.
                """),
            Key(
                "progress_timeout", \.progressTimeout, .duration, default: .written("30m"),
                "After so long without a word a worker counts as hung and is ended."),
            Key(
                "keep_jobs", optional: \.retention, .duration, default: .words("for ever"),
                "How long finished jobs, and runs outside the queue, are kept before `charnn clean` removes them."),
            Key(
                "text_grace", \.textGrace, .duration, default: .written("10m"),
                """
                How long a job whose turn has come waits for a text that is not there; then it fails. Others run \
                meanwhile.
                """),
            Key(
                "notify", optional: \.notifyCommand, .command, default: .words("none"),
                """
                A command for `sh`, run when a job ends, when a file is rejected and when nothing is left to do. What it \
                is told stands in charnnd(8).
                """),
            Key(
                "notify_timeout", \.notifyTimeout, .duration, default: .written("1m"),
                "After so long that command is ended."),
            Key(
                "caps", \.caps, .section, default: .words("see below"),
                """
                The most that one person may ask for, with the sections `all`, `groups` and `users`, the latter two by \
                name. Of a user what is said of them counts, else of their groups, else of all. In the system's spool \
                the default is a priority from -100 to 100, texts of 10 million characters and 10,000 of them; \
                elsewhere there is none. Administrators have no caps.
                """),
        ])
}

extension ServiceConfiguration.CapSections: KeyedSection {
    static let section = Section<Self>(
        keys: [
            Key("all", \.all, .section, default: .words("none"), "Of everybody of whom nothing else is said."),
            Key("groups", \.groups, .sections(named: Caps.self), default: .words("none"), "By the group's name."),
            Key("users", \.users, .sections(named: Caps.self), default: .words("none"), "By the user's name."),
        ])
}

extension Caps: KeyedSection {
    static let section = Section<Caps>(
        keys: [
            Key(
                "priority", optional: \.priority, .cap(.bounds), default: .words("none"),
                "The lowest and the highest priority of a job, such as `[-100, 0]`."),
            Key("time", optional: \.time, .cap(.duration), default: .words("none"), "Time that may be spent on a job."),
            Key(
                "memory", optional: \.memory, .cap(.size), default: .words("none"),
                "Memory that a job may be predicted to need."),
            Key("disk", optional: \.disk, .cap(.size), default: .words("none"), "Room that a job's folder may take."),
            Key(
                "text_length", optional: \.textLength, .cap(.integer(in: 1...Int.max)), default: .words("none"),
                "Characters of a text that a job writes."),
            Key(
                "texts", optional: \.texts, .cap(.integer(in: 1...Int.max)), default: .words("none"),
                "Texts that a job writes."),
            Key(
                "queued", optional: \.queued, .cap(.integer(in: 1...Int.max)), default: .words("none"),
                "Jobs that wait at a time."),
        ])

    /// Both bounds of the priority, which stand at one key.
    fileprivate var priority: Cap<ClosedRange<Int>>? {
        get {
            guard let lowestPriority, let highestPriority else { return nil }
            return Cap(lowestPriority.value...highestPriority.value, lowestPriority.key)
        }
        set {
            lowestPriority = newValue.map { Cap($0.value.lowerBound, $0.key) }
            highestPriority = newValue.map { Cap($0.value.upperBound, $0.key) }
        }
    }
}
