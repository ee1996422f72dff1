internal import CharnnStorage
internal import SystemPackage

/// A job file that nobody has accepted yet.
struct Drop: Hashable {
    /// `incoming/`, or a state directory into which a person put it directly.
    let directory: FilePath
    let name: String
    /// Whether it was put into `held/` and so waits there.
    var isHeld = false

    var path: FilePath { directory.appending(name) }

    /// By the bytes of the name: one text in two forms is two files.
    static func == (a: Drop, b: Drop) -> Bool {
        a.directory == b.directory && a.isHeld == b.isHeld && a.name.isSame(as: b.name)
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(directory)
        for byte in name.utf8 { hasher.combine(byte) }
    }
}

/// A drop on its way to `queue/`, as it lies in `accepting/`: `SEQ.NAME.yaml`, with a `+` before the first dot where
/// the job goes to `held/`.
struct Passage {
    let sequence: UInt64
    let isHeld: Bool
    let file: JobFileName
    /// The drop, where it has been open since before it was moved: nobody can take a lease on it meanwhile.
    var opened: (any StorageFile)?

    var text: String {
        let digits = String(sequence)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits + (isHeld ? "+" : "") + ".\(file)"
    }

    init(sequence: UInt64, isHeld: Bool, file: JobFileName) {
        self.sequence = sequence
        self.isHeld = isHeld
        self.file = file
    }

    init?(_ text: String) {
        guard let dot = text.firstIndex(of: "."), let file = JobFileName(String(text[text.index(after: dot)...])) else {
            return nil
        }
        var digits = text[..<dot]
        isHeld = digits.last == "+"
        if isHeld { digits.removeLast() }
        guard let sequence = UInt64(digits) else { return nil }
        self.sequence = sequence
        self.file = file
    }

    /// Whether its job may have got that name.
    func mayBecome(_ job: String) -> Bool {
        let number = job.split(separator: "-").last.flatMap { Int($0) } ?? 1
        return file.name.text == job || file.name.numbered(number).text == job
    }
}
