// What there is to know of a kernel before it is launched. The kernels themselves stand in the files of `Kernels/`,
// each with its name, its arguments and its launch; the probe stands in `DeviceOpening.swift`.

/// A kernel of the program, which gets one structure of `Arguments`.
struct Kernel<Arguments: BitwiseCopyable> {
    /// As in the program.
    let name: String
    /// Threads of a block, in one dimension; the program was compiled for no other number.
    let threads: Int

    init(_ name: String, threads: Int) {
        self.name = name
        self.threads = threads
    }

    /// The blocks that have a thread for each of so many items.
    func grid(covering items: Int) -> Grid { (pieces(items, of: threads), 1, 1) }
}

/// Blocks of a launch.
typealias Grid = (x: Int, y: Int, z: Int)

extension CUDAPrecision {
    /// How kernels that exist for both types of operands end.
    var kernelSuffix: String {
        switch self {
        case .fp32: "float"
        case .fp16: "half"
        }
    }
}

/// How many pieces of a size cover a count.
func pieces(_ count: Int, of size: Int) -> Int { (count + size - 1) / size }
