import CharnnEngine
public import CharnnSpool
public import CharnnStorage
import CharnnTraining
import SystemPackage

/// How long waiting jobs will take, from the speed that jobs had on this machine.
///
/// The work of a step grows with the weights behind the embedding and with its characters; what a measured job did of
/// that in a second is what a waiting one is expected to do, taken from the job whose network is nearest in size. The
/// text's size in bytes stands for its characters, so the estimate is rather too long. It is told as "about".
///
/// It must be given jobs to learn from first (``learn(_:)``); a value of it serves for one look at a queue.
public struct QueueForecast: Sendable {
    private struct Measurement {
        var weights: Double
        var charactersPerSecond: Double
    }

    /// Seconds that a job without training is counted as.
    private static let writing = 60.0

    private let layout: SpoolLayout
    private let storage: any Storage
    private var measured: [Measurement] = []
    /// What an owner may ask for.
    private let caps: @Sendable (UInt32?) -> Caps

    /// - Parameter caps: What the owner of a job may ask for; nil is given where nobody knows the owner.
    public init(
        _ layout: SpoolLayout, storage: any Storage, caps: @escaping @Sendable (UInt32?) -> Caps = { _ in .none }
    ) {
        self.layout = layout
        self.storage = storage
        self.caps = caps
    }

    /// Learns from a job that has run.
    ///
    /// One that has trained nothing, or went on from another's model, teaches nothing: its sizes do not stand in its
    /// file.
    public mutating func learn(_ job: SpoolClient.Job) {
        guard let speed = job.status?.charactersPerSecond, speed > 0, let train = jobFile(job)?.train,
            train.from == nil
        else { return }
        measured.append(Measurement(weights: Self.weights(train), charactersPerSecond: speed))
    }

    /// Seconds that a waiting job will take; nil: nothing is known to tell it from.
    ///
    /// It is ended where it comes to its owner's cap.
    ///
    /// One that has run before is taken at its own word, all others by the jobs that were learned from.
    public func seconds(_ job: SpoolClient.Job) -> Double? {
        guard let seconds = uncappedSeconds(job) else { return nil }
        guard let cap = caps(job.owner).time else { return seconds }
        return min(seconds, max(0, cap.value - (job.status?.elapsedSeconds ?? 0)))
    }

    private func uncappedSeconds(_ job: SpoolClient.Job) -> Double? {
        if let left = job.status?.secondsLeft, (job.status?.step ?? 0) > 0 { return left }
        guard let file = jobFile(job) else { return nil }
        guard let train = file.train else { return Self.writing }
        guard let characters = characters(train), train.from == nil else { return nil }
        let weights = Self.weights(train)
        // Speed is not proportional to size: small networks reach less of a processor. So the nearest one is asked, by
        // the ratio of sizes.
        let nearest = measured.min { a, b in Self.distance(a.weights, weights) < Self.distance(b.weights, weights) }
        guard let nearest else { return nil }
        return characters / (nearest.charactersPerSecond * nearest.weights / weights)
    }

    private func jobFile(_ job: SpoolClient.Job) -> JobFile? {
        guard let bytes = (try? storage.contents(of: layout.file(job.file, in: job.state), limit: 1 << 20)) ?? nil
        else {
            return nil
        }
        return try? JobFile.parse(bytes, fileName: job.file)
    }

    /// Characters that all epochs together go through.
    private func characters(_ train: TrainSection) -> Double? {
        var bytes = 0
        for text in train.corpus {
            let path = layout.corpora.pushing(FilePath(text))
            guard let size = (try? storage.status(of: path))??.size else { return nil }
            bytes += size
        }
        let count = min(bytes, train.maxChars ?? .max)
        let training = Double(count) * (1 - train.valFraction)
        guard let settings = (try? train.choosing(characters: Int(training)))?.settings else { return nil }
        let each = settings.batching == .stream ? 1 : Double(settings.sequenceLength) / Double(settings.stride)
        return training * each * Double(settings.epochs)
    }

    /// The weights that every character goes through, but for the head, whose size the text decides.
    private static func weights(_ train: TrainSection) -> Double {
        let one = ParameterLayout(train.architecture(vocabularySize: 1)).count
        return Double(max(1, one))
    }

    private static func distance(_ a: Double, _ b: Double) -> Double { a > b ? a / b : b / a }
}
