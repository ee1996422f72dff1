import CharnnSpool

/// Something that somebody was told and that nothing may take back.
enum Promise: Sendable {
    /// A job file lies complete on the disk.
    case dropped(text: String)
    /// Job files may have these texts too, and damaged files hold them.
    case texts([String])
    /// A rejected file lies there without its reason.
    case unexplained(String)
    /// A number was given to a job.
    case sequence(UInt64)
    case checkpoint(job: String, step: Int)
    /// Somebody has changed what a job goes on from: it may have to go back.
    case goingBack(job: String)
    /// The result record is written.
    case finished(job: String, results: [JobStatus.Result])
    /// A job waits for a text since then: no crash gives it a new grace.
    case missesText(job: String, String, since: Double)
    /// What is made of this job file is its owner's alone.
    case secret(String)
    /// A job's folder may be closed before its status says so, or opened.
    case closing(String)
    case opening(String)
    /// Somebody has begun to replace a job's file: from now on either text is right.
    case editing(job: String, text: String)
    case edited(job: String)
    /// Somebody asks that nothing be started, or that jobs be: from now on either is right.
    case askingForPause
    case paused(Bool)
    /// A person has begun to move a job: from now on either state is right.
    case moving(String)
    case moved(String, JobState)
    /// A person has begun to remove jobs: from now on they may be gone, and must not come back.
    case removing([String])
    case removed([String])
}

/// Promises with the number of operations that had been done when they were made.
struct Promises: Sendable {
    private var all: [(at: Int, promise: Promise)] = []

    mutating func add(_ promise: Promise, at position: Int) { all.append((position, promise)) }

    /// What must hold when the power fails after so many operations.
    func after(_ count: Int, from start: Expectations) -> Expectations {
        var expectations = start
        for (position, promise) in all where position <= count { expectations.add(promise) }
        return expectations
    }
}

/// What must hold of a spool.
struct Expectations: Sendable {
    /// Every text that a job file may have, and what a damaged file holds.
    var texts: Set<[UInt8]> = []
    /// Rejected files that may lack a reason.
    var unexplained: Set<String> = []
    /// The marks of the job files that must be there, each once.
    var marks: Set<String> = []
    /// The greatest number given so far.
    var sequence: UInt64 = 0
    var checkpoints: [String: Int] = [:]
    var finished: [String: [JobStatus.Result]] = [:]
    /// The checksums of all texts that were results of jobs: each is somebody's night.
    var writtenTexts: [String: Set<String>] = [:]
    var missingTexts: [String: (text: String, since: Double)] = [:]
    /// By the marks of their job files.
    var secrets: Set<String> = []
    /// Of these jobs the rights of their folders go before what their statuses say.
    var closing: Set<String> = []
    var opening: Set<String> = []
    /// What jobs' files hold after edits that were made, and those that were begun.
    var contents: [String: [UInt8]] = [:]
    private var edits: [String: [UInt8]] = [:]
    /// nil: either is right.
    var isPaused: Bool? = false
    var places: [String: JobState] = [:]
    /// Jobs that a person has moved, or of which a person has taken the file away.
    var touched: Set<String> = []
    var removing: Set<String> = []
    var removed: Set<String> = []

    mutating func add(_ promise: Promise) {
        switch promise {
        case .dropped(let text):
            texts.insert(Array(text.utf8))
            if let mark = Self.mark(of: Array(text.utf8)) { marks.insert(mark) }
        case .texts(let list): texts.formUnion(list.map { Array($0.utf8) })
        case .unexplained(let file): unexplained.insert(file)
        case .sequence(let number): sequence = max(sequence, number)
        case .checkpoint(let job, let step): checkpoints[job] = max(step, checkpoints[job] ?? 0)
        case .goingBack(let job): checkpoints[job] = nil
        case .finished(let job, let results):
            finished[job] = results
            let texts = results.filter { $0.path.hasPrefix("generated/") }
            writtenTexts[job, default: []].formUnion(texts.map(\.sha256))
        case .missesText(let job, let text, let since): missingTexts[job] = (text, since)
        case .secret(let mark): secrets.insert(mark)
        case .closing(let job): closing.insert(job)
        case .opening(let job): opening.insert(job)
        case .editing(let job, let text):
            edits[job] = Array(text.utf8)
            texts.insert(Array(text.utf8))
            contents[job] = nil
            missingTexts[job] = nil
        case .edited(let job): contents[job] = edits[job]
        case .askingForPause: isPaused = nil
        case .paused(let isSo): isPaused = isSo
        case .moving(let job):
            missingTexts[job] = nil
            places[job] = nil
            finished[job] = nil
            touched.insert(job)
        case .moved(let job, let state): places[job] = state
        case .removing(let jobs):
            removing.formUnion(jobs)
            touched.formUnion(jobs)
        case .removed(let jobs): removed.formUnion(jobs)
        }
    }

    /// What tells the job files of a scenario apart: the word behind `mark:`.
    static func mark(of text: [UInt8]) -> String? {
        let words = String(decoding: text, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        guard let index = words.firstIndex(of: "mark:"), index + 1 < words.count else { return nil }
        return String(words[index + 1])
    }
}
