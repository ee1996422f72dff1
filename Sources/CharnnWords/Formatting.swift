/// A number with so many digits behind the point, rounded; those that are not finite as Swift writes them.
public func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return String(value) }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 9e18 else { return String(value) }
    let whole = String(UInt64(scaled))
    let padded = String(repeating: "0", count: max(0, digits + 1 - whole.count)) + whole
    let sign = value < 0 && scaled > 0 ? "-" : ""
    return digits == 0 ? sign + padded : sign + padded.dropLast(digits) + "." + padded.suffix(digits)
}

/// A number with its thousands apart: `1,234,567`.
public func grouped(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var result = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index) % 3 == 0 { result += "," }
        result.append(digit)
    }
    return value < 0 ? "-" + result : result
}

/// A number without what is behind its point, with its thousands apart; those that no count reaches as Swift writes them.
public func grouped(_ value: Double) -> String {
    value.isFinite && abs(value) < 1e15 ? grouped(Int(value)) : String(value)
}

/// How much of a whole is done, rounded down: `17 %`.
public func percent(_ part: Int, of whole: Int) -> String {
    fixed((100 * Double(part) / Double(whole)).rounded(.down), 0) + " %"
}

/// A span of time as a person says it: `45 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`.
public func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e11 else { return "unknown" }
    let total = Int(max(0, seconds).rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch total {
    case ..<60: return "\(total) s"
    case ..<3600: return "\(total / 60) min \(two(total % 60)) s"
    case ..<86400: return "\(total / 3600) h \(two(total / 60 % 60)) min"
    default: return "\(total / 86400) d \(total / 3600 % 24) h"
    }
}

/// A span of time that is a guess: `less than a minute`, `about 53 min`, `about 2 h 05 min`.
public func about(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e11 else { return "unknown" }
    if seconds < 60 { return "less than a minute" }
    return seconds < 3570 ? "about \(fixed(seconds / 60, 0)) min" : "about \(duration(max(3600, seconds)))"
}

/// A number in three digits and a power of ten: `2.19e-5`.
public func scientific(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return fixed(value, 0) }
    var (rest, power) = (abs(value), 0)
    while rest < 1 { (rest, power) = (rest * 10, power - 1) }
    while rest >= 9.995 { (rest, power) = (rest / 10, power + 1) }
    return "\(value < 0 ? "-" : "")\(fixed(rest, 2))e\(power)"
}

/// An amount of memory or disk: `512 B`, `1.5 kB`, `38.2 MB`, `1.1 GB`.
public func byteCount(_ bytes: UInt64) -> String { byteCount(Double(bytes)) }

/// An amount that may be more than any machine counts.
public func byteCount(_ bytes: Double) -> String {
    guard bytes >= 1000 else { return "\(fixed(bytes, 0)) B" }
    var value = bytes
    var unit = 0
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 999.95, unit < units.count - 1 {
        value /= 1000
        unit += 1
    }
    return "\(fixed(value, 1)) \(units[unit])"
}

/// Nats as bits.
public func bits(_ nats: Double) -> Double { nats / 0.693_147_180_559_945_3 }
