/// Arguments as the shell gave them. In ``CommandLine/arguments`` bytes that are not UTF-8 are replaced.
///
/// A prompt for a model of bytes may be anything that the shell can hand over. The parser knows strings only, so that
/// the value is found again by what became of it.
enum RawArguments {
    /// The bytes of an option's value, if they are not UTF-8; nil: the text says all.
    ///
    /// - Parameter text: The value as it was parsed.
    static func value(of option: String, parsedAs text: String) -> [UInt8]? {
        let all = (0..<Int(CommandLine.argc)).map { index -> [UInt8] in
            guard let argument = CommandLine.unsafeArgv[index] else { return [] }
            return String(cString: argument).utf8.elementsEqual(bytes(argument)) ? [] : bytes(argument)
        }
        for (index, bytes) in all.enumerated() where !bytes.isEmpty && index > 0 {
            var value = bytes[...]
            if bytes.starts(with: Array("\(option)=".utf8)) {
                value = bytes.dropFirst(option.utf8.count + 1)
            } else if CommandLine.arguments[index - 1] != option {
                continue
            }
            if String(decoding: value, as: UTF8.self) == text { return Array(value) }
        }
        return nil
    }

    private static func bytes(_ argument: UnsafeMutablePointer<CChar>) -> [UInt8] {
        var bytes: [UInt8] = []
        var place = argument
        while place.pointee != 0 {
            bytes.append(UInt8(bitPattern: place.pointee))
            place += 1
        }
        return bytes
    }
}
