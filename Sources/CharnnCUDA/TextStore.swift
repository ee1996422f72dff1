import CharnnEngine

// Where steps and scorers find their text. A text lies on the device as one, two or four bytes a symbol, as the host
// has it, and is owned here; a place is good until another text or batch is asked for. A batch that is brought for
// itself keeps its buffer as long as that is large enough: the copy comes after the steps before it in stream order.

/// The text on the device: whole where it fits, otherwise batch by batch.
struct TextStore {
    /// Where the symbols of a batch lie.
    struct Place {
        let address: DeviceAddress
        /// Bytes a symbol.
        let width: Int
        /// Positions in that text.
        let starts: [Int64]
    }

    /// The text that is kept whole; held, so that its identity cannot become another's.
    private var resident: (text: SymbolText, buffer: DeviceBuffer?, largest: Int32)?
    private var batch: DeviceBuffer?

    /// The part of the free memory that a text may take.
    private static let part: UInt64 = 4

    /// Whether every symbol of the text is of the vocabulary; learnt when a text is first seen.
    mutating func fits(_ text: SymbolText, vocabularySize: Int, _ device: CUDADevice) throws(EngineError) -> Bool {
        if resident.map({ $0.text.isSame(as: text) }) != true { try take(text, device) }
        return resident.map { $0.largest < vocabularySize } ?? false
    }

    private mutating func take(_ text: SymbolText, _ device: CUDADevice) throws(EngineError) {
        resident = nil
        let free = try device.freeMemory()
        let bytes = text.count * text.width
        guard UInt64(bytes) <= free / Self.part else {
            // Too large to be looked through for a step's sake: each batch is checked.
            resident = (text, nil, .max)
            return
        }
        let buffer = try DeviceBuffer(device, bytes: bytes)
        let written = text.withUnsafeBytes { source in
            Result<Void, EngineError> { () throws(EngineError) in try device.write(source, to: buffer.address) }
        }
        try written.get()
        resident = (text, buffer, text.largestSymbol)
    }

    /// Where the device finds a batch of `length` symbols from each start on; brings it there if need be.
    mutating func place(
        _ text: SymbolText, starts: [Int], length: Int, on device: CUDADevice
    ) throws(EngineError) -> Place {
        if let resident, let buffer = resident.buffer, resident.text.isSame(as: text) {
            return Place(address: buffer.address, width: text.width, starts: starts.map { Int64($0) })
        }
        var symbols: [Int32] = []
        symbols.reserveCapacity(starts.count * length)
        for start in starts {
            for t in 0..<length { symbols.append(text[start + t]) }
        }
        let buffer: DeviceBuffer
        if let batch, batch.bytes >= symbols.count * 4 {
            buffer = batch
        } else {
            buffer = try DeviceBuffer(device, bytes: symbols.count * 4)
            batch = buffer
        }
        try buffer.write(symbols)
        return Place(address: buffer.address, width: 4, starts: starts.indices.map { Int64($0 * length) })
    }
}

extension SymbolText {
    /// - Parameter isKnownToFit: Whether every symbol of the text is known to be of the vocabulary.
    /// - Throws: ``EngineError/Code/mismatch`` for a place outside the text or a symbol outside the vocabulary.
    func check(
        starts: [Int], length: Int, vocabularySize: Int, isKnownToFit: Bool
    ) throws(EngineError) {
        guard starts.allSatisfy({ $0 >= 0 && $0 <= count - length }) else {
            throw EngineError(.mismatch, "The batch reaches beyond the text of \(count) symbols.")
        }
        guard !isKnownToFit else { return }
        for start in starts {
            for place in start..<start + length {
                guard self[place] >= 0, self[place] < vocabularySize else {
                    throw EngineError(
                        .mismatch, "The text has a symbol outside the vocabulary of \(vocabularySize).")
                }
            }
        }
    }
}
