internal import Glibc

/// `xz -9` by liblzma, which is opened at run time: without it there is no figure and nothing else is missing.
public struct Compressor {
    /// The largest dictionary of `xz -9`.
    public static let dictionary = 64 << 20

    private typealias Preset = @convention(c) (UnsafeMutableRawPointer, UInt32) -> UInt8
    private typealias Bound = @convention(c) (Int) -> Int
    private typealias Encode =
        @convention(c) (
            UnsafeMutableRawPointer, Int32, UnsafeRawPointer?, UnsafePointer<UInt8>, Int, UnsafeMutablePointer<UInt8>,
            UnsafeMutablePointer<Int>, Int
        ) -> Int32

    private let preset: Preset
    private let bound: Bound
    private let encode: Encode

    /// - Returns: nil if this machine has no liblzma.
    public init?() {
        guard let library = dlopen("liblzma.so.5", RTLD_NOW | RTLD_LOCAL),
            let preset = dlsym(library, "lzma_lzma_preset"), let bound = dlsym(library, "lzma_stream_buffer_bound"),
            let encode = dlsym(library, "lzma_stream_buffer_encode")
        else { return nil }
        self.preset = unsafeBitCast(preset, to: Preset.self)
        self.bound = unsafeBitCast(bound, to: Bound.self)
        self.encode = unsafeBitCast(encode, to: Encode.self)
    }

    /// The size of the compressed stream in bytes; nil if liblzma failed, as without memory.
    ///
    /// The dictionary is as large as the input and at most that of `xz -9`, which changes the memory (about eleven
    /// times the dictionary) and not the result.
    public func compressedSize(of bytes: [UInt8]) -> Int? {
        // struct lzma_options_lzma, part of liblzma's stable interface: 112 bytes, the dictionary's size first.
        let options = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 8)
        options.initializeMemory(as: UInt8.self, repeating: 0, count: 256)
        defer { options.deallocate() }
        guard preset(options, 9) == 0 else { return nil }
        options.storeBytes(of: UInt32(max(4096, min(bytes.count, Self.dictionary))), as: UInt32.self)
        // struct lzma_filter[2]: an identifier and a pointer each; LZMA2 and the end.
        let filters = UnsafeMutableRawPointer.allocate(byteCount: 32, alignment: 8)
        filters.initializeMemory(as: UInt8.self, repeating: 0, count: 32)
        defer { filters.deallocate() }
        filters.storeBytes(of: 0x21, toByteOffset: 0, as: UInt64.self)
        filters.storeBytes(of: options, toByteOffset: 8, as: UnsafeMutableRawPointer.self)
        filters.storeBytes(of: .max, toByteOffset: 16, as: UInt64.self)
        var output = [UInt8](repeating: 0, count: bound(bytes.count))
        var size = 0
        let crc64: Int32 = 4
        let capacity = output.count
        let result = encode(filters, crc64, nil, bytes, bytes.count, &output, &size, capacity)
        return result == 0 ? size : nil
    }
    /// What a text needs that stands behind another one, as far as the dictionary reaches: what both need, without what
    /// the first does.
    ///
    /// - Parameter size: Compresses; nil where it cannot, or is not to any more.
    public static func size(of text: [UInt8], after known: [UInt8], size: ([UInt8]) -> Int?) -> Int? {
        // What is further back than the dictionary reaches would be of no use.
        let known = Array(known.suffix(max(0, dictionary - text.count)))
        guard let one = size(known), let both = size(known + text) else { return nil }
        return max(0, both - one)
    }
}
