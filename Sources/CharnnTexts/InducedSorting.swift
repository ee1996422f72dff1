/// Suffix sorting by induction (Nong, Zhang, Chan: "Linear Suffix Array Construction by Almost Pure Induced-Sorting").
///
/// A suffix is of type S if it is smaller than the one that begins a symbol later, else of type L. An S whose left
/// neighbour is an L is leftmost (LMS). From the sorted LMS suffixes all others follow in two sweeps over the buckets
/// of first symbols; the LMS suffixes themselves are sorted by the same sweeps on names of the pieces between them.
enum InducedSorting {
    /// The starts of all suffixes in ascending order.
    ///
    /// - Parameter largest: No symbol is larger; none is negative.
    static func suffixes(of text: [Int32], largest: Int32) -> [Int32] {
        let count = text.count
        if count <= 2 {
            guard count == 2 else { return count == 1 ? [0] : [] }
            return text[0] < text[1] ? [0, 1] : [1, 0]
        }
        var isS = [Bool](repeating: false, count: count)
        for i in stride(from: count - 2, through: 0, by: -1) {
            isS[i] = text[i] == text[i + 1] ? isS[i + 1] : text[i] < text[i + 1]
        }
        // Where the L and the S suffixes of each first symbol begin.
        var startsOfL = [Int32](repeating: 0, count: Int(largest) + 2)
        var startsOfS = startsOfL
        for i in 0..<count {
            if isS[i] { startsOfL[Int(text[i]) + 1] += 1 } else { startsOfS[Int(text[i])] += 1 }
        }
        for symbol in 0...Int(largest) {
            startsOfS[symbol] += startsOfL[symbol]
            if symbol < Int(largest) { startsOfL[symbol + 1] += startsOfS[symbol] }
        }
        let sweeps = Sweeps(text: text, isS: isS, startsOfL: startsOfL, startsOfS: startsOfS)

        let leftmost = (1..<count).filter { !isS[$0 - 1] && isS[$0] }.map(Int32.init)
        var order = sweeps.induce(from: leftmost)
        guard !leftmost.isEmpty else { return order }
        var number = [Int32](repeating: -1, count: count + 1)
        for (index, start) in leftmost.enumerated() { number[Int(start)] = Int32(index) }
        var sorted = order.filter { number[Int($0)] >= 0 }
        order = []

        // Equal pieces get equal names, in the pieces' order.
        var names = [Int32](repeating: 0, count: leftmost.count)
        var last: Int32 = 0
        for i in 1..<max(1, sorted.count) {
            let (left, right) = (Int(sorted[i - 1]), Int(sorted[i]))
            func end(_ start: Int) -> Int {
                let next = Int(number[start]) + 1
                return next < leftmost.count ? Int(leftmost[next]) : count
            }
            let (leftEnd, rightEnd) = (end(left), end(right))
            var isSame = leftEnd - left == rightEnd - right
            if isSame {
                var (a, b) = (left, right)
                while a < leftEnd, text[a] == text[b] {
                    a += 1
                    b += 1
                }
                // Both must go on equally past their ends, and the text's end is equal to nothing.
                isSame = a == leftEnd && leftEnd < count && rightEnd < count && text[leftEnd] == text[rightEnd]
            }
            if !isSame { last += 1 }
            names[Int(number[right])] = last
        }
        let namesInOrder = suffixes(of: names, largest: last)
        for i in sorted.indices { sorted[i] = leftmost[Int(namesInOrder[i])] }
        number = []
        return sweeps.induce(from: sorted)
    }

    /// The two sweeps.
    private struct Sweeps {
        let text: [Int32]
        let isS: [Bool]
        let startsOfL: [Int32]
        let startsOfS: [Int32]

        func induce(from leftmost: [Int32]) -> [Int32] {
            let count = text.count
            var order = [Int32](repeating: -1, count: count)
            var next = startsOfS
            for start in leftmost where Int(start) != count {
                let symbol = Int(text[Int(start)])
                order[Int(next[symbol])] = start
                next[symbol] += 1
            }
            next = startsOfL
            order[Int(next[Int(text[count - 1])])] = Int32(count - 1)
            next[Int(text[count - 1])] += 1
            for place in 0..<count {
                let start = Int(order[place])
                guard start >= 1, !isS[start - 1] else { continue }
                let symbol = Int(text[start - 1])
                order[Int(next[symbol])] = Int32(start - 1)
                next[symbol] += 1
            }
            next = startsOfL
            for place in stride(from: count - 1, through: 0, by: -1) {
                let start = Int(order[place])
                guard start >= 1, isS[start - 1] else { continue }
                let symbol = Int(text[start - 1])
                next[symbol + 1] -= 1
                order[Int(next[symbol + 1])] = Int32(start - 1)
            }
            return order
        }
    }
}
