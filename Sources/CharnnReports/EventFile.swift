internal import CharnnSpool
public import CharnnStorage
public import CharnnTraining
public import SystemPackage

/// The file that TensorBoard reads: the rows of `metrics.csv` and the samples as events.
///
/// It is for looking at, beside `metrics.csv`, which is the record: it is never synced, and what cannot be written is
/// missing and nothing else.
///
/// Each event is a record of its own with two checksums, so that what a crash left half written is found and cut off.
public final class EventFile {
    /// TensorBoard reads every file that has `tfevents` in its name.
    public static let name = JobFolderFile.events.rawValue

    private let file: any StorageFile

    /// Opens the file of a run that has come to `step`; events behind it and what was cut short are removed, so that
    /// no step is told twice.
    ///
    /// - Parameter time: Seconds since 1970, for a new file's first event.
    public init(
        _ path: FilePath, keepingEventsTo step: Int, time: Double, in storage: any Storage
    ) throws(StorageError) {
        let old = try storage.contents(of: path) ?? []
        var kept = Self.cut(old, to: step)
        if kept.isEmpty { kept = EventRecord.framed(TensorBoardEvent.version(time: time)) }
        // Swapped and not cut in place: a TensorBoard that reads it meanwhile keeps the old one.
        if kept != old { try storage.swap(path, with: kept) }
        file = try storage.openForAppending(path, mode: 0o640)
    }

    /// The whole events up to a step; nothing where the file does not begin with one.
    static func cut(_ bytes: [UInt8], to step: Int) -> [UInt8] {
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        for (range, payload) in EventRecord.records(in: bytes) where TensorBoardEvent.step(of: bytes[payload]) <= step {
            kept += bytes[range]
        }
        return kept
    }

    /// Adds a row, each of its values under the tag that TensorBoard groups by.
    public func append(_ row: MetricsRow, time: Double) throws(StorageError) {
        let values: [(String, Double?)] = [
            ("loss/train", row.trainLoss), ("loss/validation", row.validationLoss),
            ("loss/validation of the average", row.averageValidationLoss),
            ("learning_rate", row.learningRate), ("gradient_norm", row.gradientNorm),
            ("chars_per_second", row.charactersPerSecond),
        ]
        let measured = values.compactMap { tag, value in value.map { (tag, Float($0)) } }
        try file.append(EventRecord.framed(TensorBoardEvent.scalars(measured, step: row.step, time: time)))
    }

    /// Adds a sample.
    public func append(sample: String, step: Int, time: Double) throws(StorageError) {
        try file.append(EventRecord.framed(TensorBoardEvent.text("sample", sample, step: step, time: time)))
    }
}

/// A record of TensorFlow's record files: length, its checksum, bytes, their checksum; little-endian.
enum EventRecord {
    /// The checksum of the length stands before the bytes, so that a damaged length is not believed.
    static func framed(_ payload: [UInt8]) -> [UInt8] {
        let length = Self.bytes(UInt64(payload.count))
        return length + bytes(CRC32C.masked(length[...])) + payload + bytes(CRC32C.masked(payload[...]))
    }

    /// The whole records from the beginning, each with the range of its bytes and that of its payload; what follows one
    /// that is cut short or damaged is left out.
    static func records(in bytes: [UInt8]) -> [(whole: Range<Int>, payload: Range<Int>)] {
        var records: [(whole: Range<Int>, payload: Range<Int>)] = []
        var position = 0
        while bytes.count - position >= 16 {
            let head = bytes[position..<(position + 8)]
            let length = number(head)
            guard number(bytes[(position + 8)..<(position + 12)]) == UInt64(CRC32C.masked(head)),
                length <= UInt64(bytes.count - position - 16)
            else { break }
            let payload = (position + 12)..<(position + 12 + Int(length))
            let end = payload.upperBound + 4
            guard number(bytes[payload.upperBound..<end]) == UInt64(CRC32C.masked(bytes[payload])) else { break }
            records.append((position..<end, payload))
            position = end
        }
        return records
    }

    private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<(value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// The checksum of TensorFlow's record files: CRC-32C (Castagnoli), rotated and shifted.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }

    /// A byte at a time by a table; 0x82F63B78 is Castagnoli's polynomial with its bits reversed.
    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    }

    /// TensorFlow's mask (tensorflow/core/lib/hash/crc32c.h): a checksum of bytes that have checksums in them would say
    /// little.
    static func masked(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        let value = checksum(bytes)
        return (value >> 15 | value << 17) &+ 0xA282_EAD8
    }
}
