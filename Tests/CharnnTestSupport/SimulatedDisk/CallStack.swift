internal import Foundation

/// Who called an operation of the simulated disk: return addresses, innermost first.
public struct CallStack: Hashable, Sendable {
    /// A line of a file below `Sources/`.
    public struct Line: Hashable, Sendable, Comparable, CustomStringConvertible {
        /// Such as `CharnnSpool/SpoolCheck.swift`.
        public var file: String
        public var line: Int

        public init(file: String, line: Int) {
            self.file = file
            self.line = line
        }

        public var description: String { "\(file):\(line)" }

        public static func < (a: Line, b: Line) -> Bool { (a.file, a.line) < (b.file, b.line) }
    }

    public let addresses: [UInt]

    /// Of the caller.
    init() {
        // A return address may belong to the line after the call; the byte before it does not.
        addresses = Thread.callStackReturnAddresses.prefix(24).map { UInt(truncating: $0) - 1 }
    }

    private init(_ addresses: [UInt]) { self.addresses = addresses }

    /// Only the so many innermost calls.
    public func prefix(_ count: Int) -> CallStack { CallStack(Array(addresses.prefix(count))) }

    /// The lines of this package's sources to which addresses belong, innermost first where calls were inlined.
    ///
    /// By `addr2line`, which comes with the linker; looking up thousands at once takes it seconds.
    public static func lines(of addresses: some Collection<UInt>) throws -> [UInt: [Line]] {
        guard let base = Self.base else { return [:] }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/addr2line")
        process.arguments = ["-a", "-i", "-e", "/proc/\(getpid())/exe"]
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        process.standardError = FileHandle.nullDevice
        try process.run()
        let asked = addresses.filter { $0 > base }
        let question = asked.map { String($0 - base, radix: 16) + "\n" }.joined()
        Thread.detachNewThread {
            try? input.fileHandleForWriting.write(contentsOf: Data(question.utf8))
            try? input.fileHandleForWriting.close()
        }
        let answer = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var found: [UInt: [Line]] = [:]
        var current: UInt = 0
        for text in answer.split(separator: "\n") {
            if text.hasPrefix("0x"), let address = UInt(text.dropFirst(2), radix: 16) {
                current = address + base
            } else if let line = line(String(text)) {
                found[current, default: []].append(line)
            }
        }
        return found
    }

    /// A line of this package's sources, from `FILE:LINE (…)`.
    private static func line(_ text: String) -> Line? {
        let root = "\(#filePath)".components(separatedBy: "/Tests/CharnnTestSupport/")[0] + "/Sources/"
        guard text.hasPrefix(root) else { return nil }
        let parts = text.dropFirst(root.count).split(separator: " ")[0].split(separator: ":")
        guard parts.count == 2, let number = Int(parts[1]) else { return nil }
        return Line(file: String(parts[0]), line: number)
    }

    /// Where this program lies in memory.
    private static let base: UInt? = {
        let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        guard let line = maps.split(separator: "\n").first(where: { $0.hasSuffix(program) }) else { return nil }
        return UInt(line.split(separator: "-")[0], radix: 16)
    }()
}
