internal import CharnnJobs
internal import CharnnSpool
internal import CharnnStorage
internal import CharnnWords
internal import Logging
internal import SystemPackage

/// Whose a job is, and who may know more of it than that.
struct Discretion {
    /// The owner's name; nil: nobody knows, or there is one only.
    var owner: String?
    /// Whether it is its owner's alone.
    var isPrivate = false
}

/// Tells what happens: to the journal, and for jobs to `log.txt` in their folder.
///
/// The only place from which the daemon speaks, so that three things hold for every line:
///
/// 1. It bears the kind of event, by whose MESSAGE_ID the journal's catalog explains it, and the job.
/// 2. What is its owner's alone is told in the job's own log; the journal, which others read, gets name, owner and
///    state.
/// 3. Words of others in it (names, reasons, what a worker wrote) cannot look like lines of their own, and a flood of
///    one kind is summed up.
///
/// Workers write neither to the journal nor to `log.txt`; they tell the daemon, and it tells.
struct Announcer {
    /// Seconds between two lines about the progress of a job.
    static let progressInterval = 10.0

    private let logger: Logger
    private let layout: SpoolLayout
    private let storage: any Storage
    private let clock: SpoolClock
    /// What a job's line in the journal may say.
    var discretion: (String) -> Discretion = { _ in Discretion() }
    private var flood = FloodGate()
    // When a line about progress was told last; of all jobs together, for one runs at a time.
    private var lastProgress: Double?
    /// The last trouble and when it was told.
    private var lastTrouble: (text: String, time: Double)?

    init(_ logger: Logger, _ layout: SpoolLayout, _ storage: any Storage, _ clock: SpoolClock) {
        self.logger = logger
        self.layout = layout
        self.storage = storage
        self.clock = clock
    }

    /// Tells of something that concerns no single job.
    func tell(_ kind: EventKind, _ level: Logger.Level, _ message: String, _ fields: [String: String] = [:]) {
        logger.log(level: level, "\(Self.fit(message))", metadata: metadata(kind, fields))
    }

    /// Tells of a job.
    ///
    /// - Parameter fields: Structured fields beside the text. They are left out where the job is its owner's alone.
    func tell(
        _ kind: EventKind, _ level: Logger.Level, job: String, _ message: String, _ fields: [String: String] = [:]
    ) {
        let discretion = discretion(job)
        // Of what is its owner's alone the journal, which others read too, says how it stands and no more.
        var metadata = metadata(kind, discretion.isPrivate ? [:] : fields)
        metadata["job"] = "\(job)"
        if let owner = discretion.owner { metadata["owner"] = "\(owner)" }
        let text = Self.fit(message)
        if !discretion.isPrivate {
            logger.log(level: level, "\(job): \(text)", metadata: metadata)
        } else if let state = kind.state {
            let whose = discretion.owner.map { " (of \($0))" } ?? ""
            logger.log(level: level, "\(job)\(whose): \(state)", metadata: metadata)
        }
        let time = JobStatus.time(clock.wall())
        let line = "\(time) \(level.rawValue): \(text)\n"
        // The log is for people; that it cannot be written, as on a full disk, must not hinder the job.
        try? storage.openForAppending(layout.log(of: job), mode: 0o640).append(Array(line.utf8))
    }

    /// Tells of a storage operation that failed, the same one once a minute.
    mutating func trouble(_ text: String) {
        let now = clock.monotonic()
        if let lastTrouble, lastTrouble.text == text, now - lastTrouble.time < 60 { return }
        lastTrouble = (text, now)
        tell(.trouble, .error, text)
    }

    /// Tells what a worker has to say.
    ///
    /// Notices, warnings and errors always pass: they are few, or a worker is broken in a way that must be seen.
    mutating func tell(_ event: WorkerEvent, job: String) {
        if event.kind == .progress {
            let now = clock.monotonic()
            if let lastProgress, now - lastProgress < Self.progressInterval { return }
            lastProgress = now
        }
        let kind = EventKind.worker(event.kind)
        let mayFlood = event.level == .debug || event.level == .info
        if mayFlood, !flood.passes(kind, of: job, at: clock.monotonic()) { return }
        let level: Logger.Level =
            switch event.level {
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
        tell(kind, level, job: job, event.message, event.fields)
    }

    /// Tells a line that a worker wrote to its standard error.
    mutating func hear(line: String, job: String) {
        guard !line.isEmpty, flood.passes(.workerOutput, of: job, at: clock.monotonic()) else { return }
        tell(.workerOutput, .warning, job: job, PlainText.line(line))
    }

    /// Another job begins: its first line of progress need not wait for that of the last.
    mutating func forgetProgress() { lastProgress = nil }

    /// Tells of an event in the spool.
    ///
    /// Drops, refusals and what waits may come by the thousand and pass the flood gate; a change of a job's state is
    /// always told.
    mutating func tell(_ event: SpoolEvent) {
        let now = clock.monotonic()
        func passes(_ kind: EventKind) -> Bool { flood.passes(kind, at: now) }
        switch event {
        case .accepted(let job, let sequence, let file, let person):
            guard passes(.accepted) else { return }
            let renamed = file.hasPrefix("\(job).") ? "" : ", dropped as \(file) (the name was taken)"
            let whose = person.map { " from \($0)" } ?? ""
            tell(
                .accepted, .info, job: job, "Accepted\(whose) as number \(sequence)\(renamed).",
                ["sequence": "\(sequence)"])
        case .rejected(let file, let reason):
            guard passes(.rejected) else { return }
            tell(.rejected, .warning, "Rejected \(file): \(reason)", ["file": file, "reason": reason])
        case .ignored(let file, let reason):
            guard passes(.ignored) else { return }
            tell(
                .ignored, .warning, "Left \(PlainText.line(file)) in place: \(PlainText.line(reason))",
                ["file": file, "reason": reason])
        case .held(let job, let reason, let person):
            let level: Logger.Level = reason == nil ? .info : .warning
            tell(.held, level, job: job, "Held\(reason.map { ": \($0)" } ?? " by \(person ?? "a person").")")
        case .released(let job, let person):
            tell(.released, .info, job: job, "Released\(person.map { " by \($0)" } ?? "").")
        case .cancelled(let job, let person):
            tell(.cancelled, .notice, job: job, "Cancelled by \(person ?? "a person").")
        case .again(let job, let person):
            tell(.again, .info, job: job, person.map { "Goes on: \($0) wants it so." } ?? "Goes on by a person's wish.")
        case .edited(let job, let person): tell(.edited, .info, job: job, "Its job file was changed by \(person).")
        case .refused(let request, let person, let reason):
            guard passes(.refused) else { return }
            let what = request.map { request in
                "\(person) asked to \(request.verb.rawValue) "
                    + (request.verb.isForAll ? "the queue" : PlainText.line(request.job))
            }
            tell(
                .refused, .warning, "\(what ?? "There was a request of \(person)"); that was not done: \(reason).",
                ["person": person, "reason": reason])
        case .paused(let pause):
            tell(
                .paused, .notice, "The queue is paused by \(pause.by)\(pause.end); `charnn resume` lets it go on.",
                ["person": pause.by])
        case .resumed(let person):
            tell(.resumed, .notice, "The queue goes on\(person.map { ": \($0) wants it so" } ?? ", as was said").")
        case .requeued(let job, let cause, let reason, let person):
            tell(
                cause == .crashed ? .workerCrashed : .requeued, reason == nil ? .info : .warning, job: job,
                "Back in the queue\(person.map { " by \($0)" } ?? ""), to go on from the newest checkpoint"
                    + (reason.map { ": \($0)" } ?? "."))
        case .movedBack(let job, let from, let to):
            guard passes(.movedBack) else { return }
            let message = "Moved from \(from.rawValue)/ to \(to.rawValue)/, where it belongs."
            tell(.movedBack, .warning, job: job, message)
        case .restored(let job, let to):
            guard passes(.restored) else { return }
            tell(.restored, .notice, job: job, "Its file was removed; it is written anew into \(to.rawValue)/.")
        case .finished(let job, let state, let reason):
            if state == .done {
                tell(.jobDone, .notice, job: job, "Done; the results lie in \(layout.folder(of: job)).")
            } else {
                tell(.jobFailed, .error, job: job, "Failed\(reason.map { ": \($0)" } ?? ".")")
            }
        case .gpuRests(let seconds, let failures, let reason):
            let why = reason.isEmpty ? "" : " (the last time: \(reason))"
            tell(
                .gpuRests, .error,
                "The GPU has failed \(failures) times in a row\(why). Jobs that may use it wait for "
                    + "\(duration(seconds)), those with device: cpu go on. Nothing is lost; "
                    + "`charnn doctor` looks at the GPU.",
                ["failures": "\(failures)", "seconds": "\(Int(seconds))"])
        case .gpuWorks: tell(.gpuWorks, .notice, "The GPU works again.")
        case .waits(let job, let awaited):
            guard passes(.waits) else { return }
            tell(
                .waits, awaited.missingSince == nil ? .info : .warning, job: job, "It \(awaited.reason).",
                ["text": awaited.text])
        case .stop: break
        case .trouble(let text): trouble(text)
        }
    }

    /// Tells the sums of floods that are over; called now and then.
    mutating func tellSums(finally: Bool = false) {
        for (kind, job, count) in flood.takeSums(at: finally ? .infinity : clock.monotonic()) {
            let place = kind == .rejected ? "; rejected/ holds each with its reason" : ""
            let message = "\(count) more events of the kind \(kind.name)\(place)."
            if let job {
                tell(.flood, .info, job: job, message, ["count": "\(count)"])
            } else {
                tell(.flood, .warning, message, ["count": "\(count)"])
            }
        }
    }

    /// Whether sums are still to be told.
    var isCounting: Bool { flood.isCounting }

    private func metadata(_ kind: EventKind, _ fields: [String: String]) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["event": "\(kind.name)", "message.id": "\(kind.messageID)"]
        for (name, value) in fields { metadata[name.lowercased()] = "\(PlainText.cut(value, Self.longestMessage))" }
        return metadata
    }

    /// The most bytes of a message; the journal takes no endless ones.
    private static let longestMessage = 32 << 10

    /// A message with words of others in it, so that none of its lines looks like one of the journal's or the log's.
    private static func fit(_ message: String) -> String {
        PlainText.lines(message, indent: "    ", atMost: longestMessage)
    }
}
