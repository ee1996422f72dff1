/// The kinds of recurrent cell.
public enum Cell: String, Sendable, CaseIterable, Codable {
    case rnn
    case gru
    case lstm
}

/// The activation of a plain RNN cell; the other cells ignore it.
public enum Nonlinearity: String, Sendable, CaseIterable, Codable {
    case tanh
    case relu
}

/// For how long dropout keeps to what it has drawn.
public enum MaskSpan: String, Sendable, CaseIterable, Codable {
    /// Each character of each stream has a mask of its own.
    case character
    /// All characters of a stream's sequence have the same mask, and the next step's sequence has another.
    case sequence
}

/// The shape of a network: `Embedding(V, E) → cell (L layers of H units, dropout between them) → Linear(H, V)`.
///
/// The letters used throughout: `V` symbols in the vocabulary, `E` embedding size, `H` units, `L` layers, `g` gates,
/// `B` streams in a batch, `T` time steps in a sequence.
public struct Architecture: Hashable, Sendable {
    public var cell: Cell
    /// Of a plain RNN; kept, and without effect, with other cells.
    public var nonlinearity: Nonlinearity
    /// `V`.
    public var vocabularySize: Int
    /// `E`.
    public var embeddingSize: Int
    /// `H`.
    public var hiddenSize: Int
    /// `L`, at least 1.
    public var layerCount: Int
    /// The probability, in `0..<1`, that dropout zeroes an output of any layer but the last, as in PyTorch's `nn.LSTM`.
    public var dropout: Double
    /// The same of a number of the embedding, below the first layer.
    public var dropoutInput: Double
    /// The same of an output of the last layer, before the head.
    public var dropoutOutput: Double
    /// Of all three.
    public var dropoutMask: MaskSpan

    /// - Parameter embeddingSize: nil: that of the hidden layers.
    public init(
        cell: Cell, nonlinearity: Nonlinearity = .tanh, vocabularySize: Int, embeddingSize: Int? = nil,
        hiddenSize: Int, layerCount: Int, dropout: Double = 0, dropoutInput: Double = 0, dropoutOutput: Double = 0,
        dropoutMask: MaskSpan = .character
    ) {
        self.cell = cell
        self.nonlinearity = nonlinearity
        self.vocabularySize = vocabularySize
        self.embeddingSize = embeddingSize ?? hiddenSize
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.dropout = dropout
        self.dropoutInput = dropoutInput
        self.dropoutOutput = dropoutOutput
        self.dropoutMask = dropoutMask
    }

    /// Whether no training step drops anything: ``dropout`` alone does nothing where there is one layer.
    public var dropsNothing: Bool { dropoutInput == 0 && dropoutOutput == 0 && (dropout == 0 || layerCount == 1) }

    /// Whether some machine might hold it. Only of such a network can a ``NetworkPlan`` be made.
    public var isConceivable: Bool {
        layerCount <= 1 << 16 && [vocabularySize, embeddingSize, hiddenSize].allSatisfy { $0 <= 1 << 40 }
    }

    /// The same network for reading and writing, where nothing is dropped.
    public var withoutDropout: Architecture {
        var architecture = self
        (architecture.dropout, architecture.dropoutInput, architecture.dropoutOutput) = (0, 0, 0)
        return architecture
    }

    /// The width of what a layer reads: `E` for the first, `H` for the others.
    public func inputSize(ofLayer layer: Int) -> Int { layer == 0 ? embeddingSize : hiddenSize }
}
