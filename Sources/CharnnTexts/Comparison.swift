/// `comparison.json`: how a model's bits per character stand beside what simpler means reach on the same validation
/// text, given the same training text.
public struct Comparison: Codable, Sendable, Equatable {
    /// Characters of the validation text that were predicted.
    public var characters: Int
    /// Characters of the training text that were learned from; fewer than there are where memory sets a limit.
    public var trainingCharacters: Int
    /// The model's own best figure; nil where it was not measured.
    public var modelBitsPerCharacter: Double?
    public var ngramBitsPerCharacter: Double?
    /// Characters of context of the best n-gram model.
    public var ngramOrder: Int?
    /// `[k]`: with up to `k` characters of context.
    public var ngramBitsByOrder: [Double]
    /// What `xz -9` needs more for both texts together than for the training text alone.
    public var xzBitsPerCharacter: Double?
    /// What `xz -9` needs for the validation text alone.
    public var xzAloneBitsPerCharacter: Double?
    /// Seconds that all of this took.
    public var seconds: Double

    public init(characters: Int, trainingCharacters: Int) {
        self.characters = characters
        self.trainingCharacters = trainingCharacters
        ngramBitsByOrder = []
        seconds = 0
    }
}

/// `copies.json`: for each generated text its longest passages that stand word for word in the text learned from.
public struct CopiesRecord: Codable, Sendable, Equatable {
    /// One passage.
    public struct Passage: Codable, Sendable, Equatable {
        /// Where it begins in the generated text, in characters from 0.
        public var start: Int
        public var length: Int
        /// Where it first stands in the text learned from, in characters from 0.
        public var place: Int
        /// The line of that place, from 1; nil for texts that have no lines.
        public var line: Int?
        /// Whether that place is in the part that was trained on; else it is in the part kept for validation.
        public var isTraining: Bool
        public var occurrences: Int
        /// How it begins.
        public var text: String

        public init(
            start: Int, length: Int, place: Int, line: Int?, isTraining: Bool, occurrences: Int, text: String
        ) {
            self.start = start
            self.length = length
            self.place = place
            self.line = line
            self.isTraining = isTraining
            self.occurrences = occurrences
            self.text = text
        }
    }

    /// One generated text.
    public struct Text: Codable, Sendable, Equatable {
        /// Relative to the job folder.
        public var file: String
        /// Characters looked at, without the prompt.
        public var characters: Int
        /// Of them, those in passages of ``VerbatimCopies/recited`` characters or more.
        public var recitedCharacters: Int
        /// The longest passages, the longest first.
        public var longest: [Passage]

        public init(file: String, characters: Int, recitedCharacters: Int, longest: [Passage]) {
            self.file = file
            self.characters = characters
            self.recitedCharacters = recitedCharacters
            self.longest = longest
        }
    }

    /// The names of the texts searched, as the job file has them.
    public var corpus: [String]
    /// Characters searched; fewer than there are where memory sets a limit.
    public var charactersSearched: Int
    public var texts: [Text]
    /// Seconds that all of this took.
    public var seconds: Double

    public init(corpus: [String], charactersSearched: Int, texts: [Text] = [], seconds: Double = 0) {
        self.corpus = corpus
        self.charactersSearched = charactersSearched
        self.texts = texts
        self.seconds = seconds
    }
}
