import CharnnEngine
import CharnnStorage
import SystemPackage

/// `resolved.yaml`: every value as used, defaults filled in, choices of `auto` pinned. It is itself a job file.
///
/// It is written at the start of each attempt's training, for people and for the pages; `JudgementJob` reads in it what
/// another job was trained on, and ``ResumeNotes`` what this one was made with before. Run as a job file, it asks for
/// the same. All keys of all sections stand in it, in the order in which they are declared (``Key``).
struct ResolvedFile {
    private var lines: [String] = []

    /// - Parameters:
    ///   - section: Of the steps that were or will be made, which may not be the job file's: see ``ResumeNotes``.
    ///   - engine: What `auto` came to.
    init(_ job: JobFile, _ section: TrainSection, engine: EngineConfiguration, architecture: Architecture) {
        lines = ["# What this job ran with. Computed on \(engine.deviceName) with \(engine.method)."]
        lines += Self.lines(
            of: job, indent: "", pinned: ["device": engine.device, "threads": String(engine.threads)])
        lines.append("\(TrainSection.section.name):")
        lines += Self.lines(
            of: section.with(architecture), indent: "  ", pinned: ["precision": engine.precision])
        if !job.generate.isEmpty { lines.append("\(GenerateSection.section.name):") }
        for section in job.generate { lines += Self.lines(of: section, indent: "    ", first: "  - ") }
        if let section = job.evaluate {
            lines.append("\(EvaluateSection.section.name):")
            lines += Self.lines(of: section, indent: "  ")
        }
    }

    /// The settings of training in which a section differs from an earlier one: `lr 0.001 (was 0.002)`.
    ///
    /// What follows from the model or the device is the same on both sides and so no change.
    static func changes(
        from former: TrainSection, to section: TrainSection, architecture: Architecture
    ) -> [String] {
        func values(_ section: TrainSection) -> [(key: String, text: String)] {
            TrainSection.section.lines(of: section.with(architecture), pinned: ["precision": ""])
        }
        return zip(values(former), values(section)).filter { $0.text != $1.text }
            .map { "\($1.key) \($1.text) (was \($0.text))" }
    }

    func write(to path: FilePath, in storage: any Storage) throws(StorageError) {
        try storage.replace(path, with: [UInt8]((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// One line a key: pages read them by lines.
    ///
    /// - Parameter first: What stands before the first of them; nil: the indent, too.
    private static func lines<Root: KeyedSection>(
        of value: Root, indent: String, first: String? = nil, pinned: [String: String] = [:]
    ) -> [String] {
        Root.section.lines(of: value, pinned: pinned).enumerated().map { index, line in
            "\(index == 0 ? first ?? indent : indent)\(line.key): \(line.text)"
        }
    }
}
