import CharnnTexts
import Foundation
import Testing

@Suite struct CompressorTests {
    /// Bytes as the program `xz -9` makes of them; nil where it is not installed.
    private func program(_ bytes: [UInt8]) throws -> Int? {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/xz") else { return nil }
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("xz-\(UUID().uuidString)")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/xz")
        process.arguments = ["-9", "--threads=1", "--stdout", file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return output.count
    }

    @Test func `it needs the bytes that xz -9 needs`() throws {
        guard let compressor = Compressor() else { return }
        let text = (0..<20_000).map { "\($0 * $0 % 977) owls and \($0 % 31) cats\n" }.joined()
        let size = try #require(compressor.compressedSize(of: Array(text.utf8)))
        #expect(size < text.utf8.count / 3)
        if let expected = try program(Array(text.utf8)) { #expect(abs(size - expected) <= 64) }
        #expect(compressor.compressedSize(of: []) != nil)
    }
}
