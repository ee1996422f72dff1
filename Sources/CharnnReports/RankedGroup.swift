import CharnnSpool
import CharnnWords

/// Jobs that were scored on the same characters, so that their losses compare.
///
/// Bits per character of two texts say nothing of each other: one text is harder than another. So the morning report,
/// the pages and `charnn compare` all rank within a group, and by this one type.
///
/// Two jobs share a group if they have the same validation text, told by the checksum of its characters in their
/// statuses. Jobs of before there was one share it by the settings that cut the text.
public struct RankedGroup: Sendable {
    /// The text in a few words; nil: the jobs have no validation.
    public var text: String?
    /// By the best validation loss; those without one last.
    public var jobs: [JobRecord]

    /// What stands above the group.
    var heading: String { text.map { "Scored on \($0)" } ?? "Without validation" }

    /// The figure of one of its jobs, and whether it is of the text trained on, which ranks nothing.
    func figure(of job: JobRecord) -> (bits: Double, isTraining: Bool)? {
        (job.bestBits ?? job.scoredBits).map { ($0, false) } ?? job.trainingBits.map { ($0, true) }
    }

    /// The place of one of its jobs from 1, among those with a validation loss; nil: it has none.
    func rank(of index: Int) -> Int? { jobs[index].rankedLoss == nil ? nil : index + 1 }

    /// Puts jobs of one validation text together, the largest group first, those without validation last.
    public static func grouped(_ records: [JobRecord]) -> [RankedGroup] {
        var groups = Dictionary(grouping: records, by: \.validationKey)
            .map { key, jobs in RankedGroup(text: key == nil ? nil : name(jobs), jobs: jobs.sorted(by: isBefore)) }
            .sorted { a, b in
                if (a.text == nil) != (b.text == nil) { return b.text == nil }
                return a.jobs.count != b.jobs.count ? a.jobs.count > b.jobs.count : a.jobs[0].name < b.jobs[0].name
            }
        // Groups are told apart by a checksum and named by file names, of which two may be the same.
        var seen: Set<String> = []
        for index in groups.indices {
            guard let name = groups[index].text, !seen.insert(name).inserted else { continue }
            groups[index].text = "\(name), another text or part"
        }
        return groups
    }

    /// All jobs, group after group.
    public static func ranked(_ records: [JobRecord]) -> [JobRecord] { grouped(records).flatMap(\.jobs) }

    /// A text by its files, and how it was cut where that is not as usual.
    private static func name(_ jobs: [JobRecord]) -> String {
        let settings = jobs[0]
        if settings.bestBits == nil, let scored = settings.evaluation {
            return scored.corpus.joined(separator: " and ")
        }
        let files = (settings.setting("train.corpus") ?? "an unknown text").split(separator: ", ")
            .map { $0.split(separator: "/").last.map(String.init) ?? "" }
        let cuts = [("max_chars", "null"), ("val_fraction", "0.1"), ("val_max_chars", "null")]
            .compactMap { key, usual -> String? in
                guard let value = settings.setting("train.\(key)"), value != usual else { return nil }
                return "\(key) \(value)"
            }
        return ([files.joined(separator: " and ")] + cuts).joined(separator: ", ")
    }

    private static func isBefore(_ a: JobRecord, _ b: JobRecord) -> Bool {
        switch (a.rankedLoss, b.rankedLoss) {
        case (let first?, let second?): first != second ? first < second : a.name < b.name
        case (.some, nil): true
        case (nil, .some): false
        case (nil, nil): a.name < b.name
        }
    }
}
