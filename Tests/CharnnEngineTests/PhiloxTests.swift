import CharnnEngine
import Testing

@Suite struct PhiloxTests {
    // From kat_vectors of Random123 1.14, philox4x32-10: counter, key, result.
    @Test(
        arguments: [
            ([0, 0, 0, 0], 0, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff], 0xffff_ffff_ffff_ffff,
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], 0x299f_31d0_a409_3822,
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ] as [([UInt32], UInt64, [UInt32])])
    func `blocks equal the published ones`(counter: [UInt32], key: UInt64, expected: [UInt32]) {
        let block = Philox(key: key).block(counter[0], counter[1], counter[2], counter[3])
        #expect((0..<4).map { block[$0] } == expected)
    }

    @Test func `uniform numbers fill the unit interval evenly`() {
        let random = Philox(key: 42)
        var bins = [Int](repeating: 0, count: 64)
        for i in 0..<64_000 { bins[Int(random.uniform(.sampling, stream: 3, index: UInt64(i)) * 64)] += 1 }
        let chiSquared = bins.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
        // 63 degrees of freedom: a mean of 63, a deviation of 11.
        #expect(chiSquared > 63 - 4 * 11 && chiSquared < 63 + 4 * 11)
    }
}
