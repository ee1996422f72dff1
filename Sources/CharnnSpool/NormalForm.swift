// The standard library composes text for its own comparisons and keeps that to itself; Foundation's way to it would bring
// in all of Foundation.
@_spi(_Unicode) internal import Swift

extension String {
    /// The same text with its letters composed (Unicode's normal form C), as people's keyboards write it and as the spool
    /// keeps names. Two texts that `==` calls equal have the same bytes then.
    public var composed: String {
        if utf8.allSatisfy({ $0 < 0x80 }) { return self }
        var scalars = UnicodeScalarView()
        scalars.append(contentsOf: _nfc)
        return String(scalars)
    }

    /// Whether two texts have the same bytes. A file system tells names apart that `==` calls equal.
    func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
