/// A text as vocabulary indices, read in place from memory that someone else keeps alive.
///
/// A symbol takes one, two or four little-endian bytes, whichever is the least that the vocabulary needs, so that a
/// mapped file of many gigabytes can be trained on without ever being copied.
public struct SymbolText: @unchecked Sendable {
    // Sound: the bytes are never written through this type, and `owner` keeps them mapped.
    private let base: UnsafeRawPointer
    private let owner: AnyObject
    /// The number of symbols.
    public let count: Int
    /// Bytes a symbol: 1, 2 or 4.
    public let width: Int

    /// Wraps `bytes`, which stay valid and unchanged for as long as `owner` lives.
    ///
    /// - Parameters:
    ///   - bytes: `count * width` bytes, aligned to `width`.
    ///   - width: 1, 2 or 4.
    ///   - owner: What keeps the bytes alive.
    public init(bytes: UnsafeRawBufferPointer, width: Int, owner: AnyObject) {
        precondition([1, 2, 4].contains(width) && bytes.count % width == 0)
        // An empty buffer may have no address; nothing is ever read from this one.
        self.base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8).unsafelyUnwrapped
        self.owner = owner
        self.width = width
        self.count = bytes.count / width
    }

    /// Keeps a copy of `symbols`, four bytes each.
    public init(_ symbols: [Int32]) {
        let storage = SymbolStorage(symbols)
        self.init(bytes: UnsafeRawBufferPointer(storage.buffer), width: 4, owner: storage)
    }

    /// The least width that holds the indices of a vocabulary of that size.
    public static func width(vocabularySize: Int) -> Int {
        vocabularySize <= 1 << 8 ? 1 : vocabularySize <= 1 << 16 ? 2 : 4
    }

    /// The vocabulary index at `position`.
    public subscript(position: Int) -> Int32 {
        precondition(position >= 0 && position < count, "position outside the text")
        return symbol(uncheckedAt: position)
    }

    /// Whether both read the same memory.
    public func isSame(as other: SymbolText) -> Bool {
        owner === other.owner && base == other.base && count == other.count && width == other.width
    }

    /// Calls `body` with the bytes of all symbols, little-endian, ``width`` each.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: base, count: count * width))
    }

    /// The largest vocabulary index in the text; `Int32.max` where one is negative, so that it fits no vocabulary; -1 for none.
    public var largestSymbol: Int32 {
        guard count > 0 else { return -1 }
        return switch width {
        case 1: Int32(largest(UInt8.self))
        case 2: Int32(largest(UInt16.self))
        default: Int32(clamping: largest(UInt32.self))
        }
    }

    private func largest<Symbol: FixedWidthInteger>(_: Symbol.Type) -> Symbol {
        var largest: Symbol = 0
        for place in 0..<count {
            let symbol = base.load(fromByteOffset: place * MemoryLayout<Symbol>.size, as: Symbol.self)
            largest = max(largest, Symbol(littleEndian: symbol))
        }
        return largest
    }

    func symbol(uncheckedAt position: Int) -> Int32 {
        switch width {
        case 1: Int32(base.load(fromByteOffset: position, as: UInt8.self))
        case 2: Int32(UInt16(littleEndian: base.load(fromByteOffset: position * 2, as: UInt16.self)))
        default: Int32(bitPattern: UInt32(littleEndian: base.load(fromByteOffset: position * 4, as: UInt32.self)))
        }
    }
}

/// Memory for symbols that no file backs.
private final class SymbolStorage {
    let buffer: UnsafeMutableBufferPointer<Int32>

    init(_ symbols: [Int32]) {
        buffer = .allocate(capacity: symbols.count)
        _ = buffer.initialize(from: symbols)
    }

    deinit { buffer.deallocate() }
}
