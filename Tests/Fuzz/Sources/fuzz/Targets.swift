import CharnnCheckpoint
import CharnnCorpus
import CharnnJobs
import CharnnModel
import CharnnStorage
import Crypto
import Glibc
import SystemPackage

@testable import CharnnReports
@testable import CharnnSpool

/// What is done with one input. An error is an answer; a crash, a hang or much memory is what is looked for.
enum Targets {
    /// A file that this process alone writes and reads: the readers are given a real one, as in the field.
    private static let path = FilePath("/dev/shm/charnn-fuzz")
    private static let descriptor = open(path.string, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)

    private static func put(_ data: UnsafePointer<UInt8>?, _ count: Int) {
        ftruncate(descriptor, 0)
        pwrite(descriptor, data, count, 0)
    }

    static func jobFile(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = Array(UnsafeBufferPointer(start: data, count: count))
        _ = try? JobFile.parse(bytes, fileName: "fuzz.yaml")
        return 0
    }

    static func safeTensors(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        put(data, count)
        _ = try? Model(reading: path, in: LocalStorage())
        return 0
    }

    static func checkpoint(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        put(data, count)
        _ = try? Checkpoint(reading: path, in: LocalStorage())
        return 0
    }

    /// A header and symbols; what stands around them, of which chance would never hit the checksum, is made here. See
    /// ``CorpusShape``.
    static func corpus(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let file = CorpusShape.file(of: Array(UnsafeBufferPointer(start: data, count: count)))
        file.withUnsafeBufferPointer { put($0.baseAddress, $0.count) }
        guard let corpus = try? EncodedCorpus(reading: path, in: LocalStorage()) else { return 0 }
        // What judges a text counts its symbols without asking again.
        let size = Int32(corpus.vocabulary.count)
        for place in 0..<corpus.text.count {
            let symbol = corpus.text[place]
            precondition(symbol >= 0 && symbol < size, "a symbol that the vocabulary lacks was let through")
        }
        return 0
    }

    static func status(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = Array(UnsafeBufferPointer(start: data, count: count))
        let queued = QueuedStatus(bytes)
        guard let status = JobStatus.decode(bytes) else { return 0 }
        precondition(queued?.state == status.state && queued?.ticket == status.ticket, "the queue reads another status")
        let written = status.encoded
        precondition(JobStatus.decode(written)?.encoded == written, "a status that was written reads otherwise")
        let record = JobRecord(
            status.job, folder: "/nonexistent", state: status.state, status: status, in: LocalStorage())
        precondition(!JobPage(record, time: "").bytes.isEmpty)
        return 0
    }

    static func configuration(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = Array(UnsafeBufferPointer(start: data, count: count))
        do {
            _ = try ServiceConfiguration.parse(bytes, fileName: "fuzz.yaml")
        } catch {
            precondition(!error.description.isEmpty)
        }
        return 0
    }

    /// The rows, and all that is drawn and said of them.
    static func metrics(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        put(data, count)
        _ = Sparkline.text(Sparkline.losses(of: path, in: LocalStorage()), width: 16)
        let cut = MetricsFile.cut(
            String(decoding: UnsafeBufferPointer(start: data, count: count), as: UTF8.self), to: 9)
        precondition(MetricsFile.cut(cut, to: 9) == cut, "what was cut is cut again")
        guard let rows = try? MetricsFile.rows(of: path, in: LocalStorage()), !rows.isEmpty else { return 0 }
        var record = JobRecord("fuzz", folder: "/nonexistent", in: LocalStorage())
        record.rows = rows
        precondition(!JobPage(record, time: "").bytes.isEmpty)
        for isLogarithmic in [false, true] {
            var chart = record.lossChart
            chart.isLogarithmic = isLogarithmic
            _ = chart.svg()
        }
        return 0
    }
}
