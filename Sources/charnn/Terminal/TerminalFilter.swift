/// Makes text harmless for a terminal while it comes in pieces: what would move the cursor or change the terminal is
/// shown as a sign for it (Unicode's control pictures).
///
/// Models write what they learned from, and may have learned from anything.
///
/// C0 controls become their pictures, C1 controls the replacement character; line ends and tabs pass. Bytes that are no
/// UTF-8 pass too, and are the terminal's to show.
struct TerminalFilter {
    /// The first byte of C1 control characters in UTF-8, held back until the second is known.
    private var hasLead = false

    /// - Returns: What can be shown now; a byte may be held back until the next call.
    mutating func pass(_ bytes: [UInt8]) -> [UInt8] {
        var passed: [UInt8] = []
        passed.reserveCapacity(bytes.count)
        for byte in bytes {
            if hasLead {
                hasLead = false
                if (0x80...0x9F).contains(byte) {
                    passed += Self.replacement
                    continue
                }
                passed.append(Self.lead)
            }
            switch byte {
            case Self.lead: hasLead = true
            case UInt8(ascii: "\n"), UInt8(ascii: "\t"): passed.append(byte)
            case ..<0x20: passed += [0xE2, 0x90, 0x80 + byte]
            case 0x7F: passed += [0xE2, 0x90, 0xA1]
            default: passed.append(byte)
            }
        }
        return passed
    }

    /// What is held back at the end.
    mutating func finish() -> [UInt8] {
        defer { hasLead = false }
        return hasLead ? [Self.lead] : []
    }

    private static let lead: UInt8 = 0xC2
    /// U+FFFD
    private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
}
