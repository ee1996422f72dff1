import CCharnnCUDA
import CharnnEngine

// Names, arguments and launches of those kernels of `CCharnnCUDA/Kernels/Update.h` that bring the weights into the form
// in which the products want them.

extension Kernel where Arguments == CharnnBias {
    static var bias: Self { Kernel("bias", threads: CharnnRowThreads) }
}

extension Kernel where Arguments == CharnnPack {
    static var pack: Self { Kernel("pack", threads: CharnnRowThreads) }
}

extension CUDADevice {
    /// What a layer's input product gets as bias, `[count]` each: the input bias, and up to number `both` the recurrent
    /// bias too.
    func addBiases(
        input: DeviceAddress, recurrent: DeviceAddress, to result: DeviceAddress, count: Int, both: Int
    ) throws(EngineError) {
        try launch(
            .bias, grid: Kernel.bias.grid(covering: count),
            CharnnBias(input: input, recurrent: recurrent, to: result, count: Int32(count), both: Int32(both)))
    }

    /// A matrix fp32 `[rows, columns]`, without gaps, as fp16: as it is, `[rows, stride]`, and transposed.
    ///
    /// What lies between columns and stride is left as it is: zero from the beginning.
    func pack(
        _ matrix: DeviceAddress, rows: Int, columns: Int, to plain: Operand, transposed: Operand
    ) throws(EngineError) {
        try launch(
            .pack, grid: (pieces(columns, of: CharnnPackTile), pieces(rows, of: CharnnPackTile), 1),
            CharnnPack(
                from: matrix, to: plain.address, transposed: transposed.address, rows: Int32(rows),
                columns: Int32(columns), stride: Int32(plain.stride), transposedStride: Int32(transposed.stride)))
    }
}
