public import CharnnStorage
import CharnnWords
import Glibc
public import SystemPackage

/// A safetensors file: eight bytes of header length, a JSON header that names tensors and their byte ranges, then the
/// bytes (https://github.com/huggingface/safetensors).
///
/// Reading believes nothing: lengths, shapes and offsets are checked against the file's size before any memory is
/// taken for them.
public struct SafeTensors: Sendable {
    /// A tensor that a header names; its bytes are not read yet.
    public struct Tensor: Sendable, Hashable {
        /// The format's `dtype`: one of F64, F32, F16 and BF16, others are refused.
        public var type: String
        /// Row-major; empty: a single number.
        public var shape: [Int]
        /// Byte range behind the header.
        public var range: Range<Int>
        /// Elements; known not to overflow.
        public var count: Int
    }

    /// `__metadata__`; empty where the file has none.
    public let metadata: [String: String]
    /// By name; none shares bytes with another.
    public let tensors: [String: Tensor]
    private let file: any StorageFile
    private let dataStart: Int

    /// The longest header that is read: room for a vocabulary of every code point there is.
    static let largestHeader = 16 << 20

    /// Opens a file and checks its header.
    ///
    /// - Parameter root: When given, the file must lie below it with no link on the way.
    public init(
        _ path: FilePath, beneath root: FilePath? = nil, expecting found: FileStatus? = nil, in storage: any Storage
    ) throws(ModelError) {
        func damaged(_ what: String) -> ModelError {
            ModelError(.damaged, "\(path) is not a whole safetensors file: \(what); take another copy of it")
        }
        let size: Int
        let header: [UInt8]
        do {
            file = try storage.open(path, beneath: root, expecting: found)
            size = try file.status().size
            guard size >= 8 else { throw damaged("it has \(size) bytes") }
            let prefix = try file.read(at: 0, count: 8)
            guard prefix.count == 8 else { throw damaged("its first bytes cannot be read") }
            let length = prefix.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard length <= UInt64(min(size - 8, Self.largestHeader)) else {
                throw damaged("its header claims \(length) bytes of \(size)")
            }
            dataStart = 8 + Int(length)
            header = try file.read(at: 8, count: Int(length))
            guard header.count == Int(length) else { throw damaged("its header is cut short") }
        } catch let error as StorageError {
            throw ModelError(.reading(error), "cannot read the model: \(error)")
        } catch let error as ModelError {
            throw error
        } catch {
            throw ModelError(.reading(error), "cannot read \(path): \(error)")
        }

        let told: SafeTensorsHeader
        do throws(SafeTensorsHeader.Problem) {
            told = try SafeTensorsHeader(header)
        } catch {
            throw damaged(error.what)
        }
        var tensors: [String: Tensor] = [:]
        for (name, entry) in told.tensors {
            guard let width = Self.widths[entry.type] else { throw damaged("\(name) has the type \(entry.type)") }
            var count = 1
            for dimension in entry.shape {
                let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
                guard (0...size).contains(dimension), !overflow, product <= size else {
                    throw damaged("\(name) has shape \(entry.shape)")
                }
                count = product
            }
            let offsets = entry.offsets
            guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= size - dataStart,
                offsets[1] - offsets[0] == count * width
            else { throw damaged("\(name) claims the bytes \(offsets)") }
            tensors[name] = Tensor(type: entry.type, shape: entry.shape, range: offsets[0]..<offsets[1], count: count)
        }
        // Tensors that share bytes would let a small file claim much memory.
        let ranges = tensors.values.map(\.range).filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        for (one, next) in zip(ranges, ranges.dropFirst()) where next.lowerBound < one.upperBound {
            throw damaged("tensors overlap")
        }
        self.tensors = tensors
        metadata = told.metadata
    }

    /// What may be taken for one tensor, or for one model: half of the machine's memory, bytes.
    static let largestInMemory =
        UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) / 2 * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))

    /// Bytes an element for each type that can be read.
    private static let widths = ["F64": 8, "F32": 4, "F16": 2, "BF16": 2]

    /// A tensor's elements as floats.
    public func floats(_ name: String) throws(ModelError) -> [Float] {
        guard let tensor = tensors[name] else {
            throw ModelError(.notAModel, "\(file.path) has no tensor \(name)")
        }
        // A file with holes can claim any size and have none.
        guard UInt64(tensor.range.count) <= Self.largestInMemory else {
            throw ModelError(
                .damaged,
                "\(file.path): \(name) would take \(byteCount(Double(tensor.range.count))), more than half of this machine's memory"
            )
        }
        let bytes: [UInt8]
        do {
            bytes = try file.read(at: dataStart + tensor.range.lowerBound, count: tensor.range.count)
        } catch {
            throw ModelError(.reading(error), "cannot read the model: \(error)")
        }
        guard bytes.count == tensor.range.count else {
            throw ModelError(.damaged, "\(file.path) ends within the tensor \(name); take another copy of it")
        }
        // The type is looked at once: a comparison of strings an element would take most of the time to open a model.
        return bytes.withUnsafeBytes { raw in
            switch tensor.type {
            case "F64": Self.elements(raw, tensor.count) { (bits: UInt64) in Float(Double(bitPattern: bits)) }
            case "F32": Self.elements(raw, tensor.count) { (bits: UInt32) in Float(bitPattern: bits) }
            case "F16": Self.elements(raw, tensor.count) { (bits: UInt16) in Self.half(bits) }
            default: Self.elements(raw, tensor.count) { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
            }
        }
    }

    @inline(__always)
    private static func elements<Bits: FixedWidthInteger & BitwiseCopyable>(
        _ raw: UnsafeRawBufferPointer, _ count: Int, _ value: (Bits) -> Float
    ) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { elements, initialized in
            for index in 0..<count {
                let bits = raw.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self)
                elements.initializeElement(at: index, to: value(Bits(littleEndian: bits)))
            }
            initialized = count
        }
    }

    /// The value of an IEEE 754 half.
    private static func half(_ bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10 & 0x1F)
        let fraction = Float(bits & 0x3FF)
        if exponent == 0 { return sign * fraction * 0x1p-24 }
        if exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
        return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction * 0x1p-10)
    }
}

// MARK: - Writing

extension SafeTensors {
    /// A tensor to be written: fp32, row-major.
    public struct Source {
        public var name: String
        /// Row-major; its product is the number of ``values``, which is not checked.
        public var shape: [Int]
        /// Elements of a larger buffer, so that nothing is copied.
        public var values: ArraySlice<Float>

        public init(name: String, shape: [Int], values: ArraySlice<Float>) {
            self.name = name
            self.shape = shape
            self.values = values
        }
    }

    /// The header bytes, length prefix included, and the bytes of data that follow: what a file will take is known
    /// before anything is written.
    static func header(
        _ sources: [Source], metadata: [String: String]
    ) -> (bytes: [UInt8], dataCount: Int) {
        // Written by hand: names in a fixed order, so that the same model is the same bytes.
        var json = "{\"__metadata__\":{"
        json += metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
            .joined(separator: ",")
        json += "}"
        var offset = 0
        for source in sources {
            let end = offset + source.values.count * 4
            let shape = source.shape.map(String.init).joined(separator: ",")
            json +=
                ",\(quoted(source.name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
            offset = end
        }
        json += "}"
        var header = [UInt8](json.utf8)
        // Data begins at a multiple of eight, as the format asks; spaces are allowed behind the JSON.
        while header.count % 8 != 0 { header.append(0x20) }
        let length = UInt64(header.count)
        return ((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + header, offset)
    }

    /// The size of the file that ``write(_:metadata:to:in:mode:)`` makes, bytes.
    public static func size(of sources: [Source], metadata: [String: String]) -> Int {
        let (header, count) = header(sources, metadata: metadata)
        return header.count + count
    }

    /// Writes a file durably: after a crash the old one or the whole new one is there.
    ///
    /// - Parameter observer: Sees every piece of the file as it is written, for a checksum.
    public static func write(
        _ sources: [Source], metadata: [String: String], to path: FilePath, in storage: any Storage,
        mode: CharnnStorage.FileMode = 0o640, observer: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws(StorageError) {
        try storage.replacing(path, mode: mode) { file throws(StorageError) in
            let (header, _) = header(sources, metadata: metadata)
            header.withUnsafeBytes(observer)
            try file.append(header)
            for source in sources {
                var start = source.values.startIndex
                while start < source.values.endIndex {
                    let end = min(start + (1 << 20), source.values.endIndex)
                    let bytes = source.values[start..<end].withUnsafeBytes { [UInt8]($0) }
                    bytes.withUnsafeBytes(observer)
                    try file.append(bytes)
                    start = end
                }
            }
        }
    }

    /// A JSON string.
    private static func quoted(_ string: String) -> String {
        var result = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
