internal import CharnnStorage

/// What all parts of a ``SpoolKeeper`` work with.
struct SpoolContext {
    let layout: SpoolLayout
    let storage: any Storage
    let clock: SpoolClock
    let check: JobCheck
    let sharing: SpoolLayout.Sharing
    let people: People
    let administration: Administration
    let log = TroubleLog()
    let signs = SignsOfLife()
}

/// What the administrator has decided, and may decide anew while the daemon is up.
final class Administration {
    var rules: SpoolRules

    init(_ rules: SpoolRules) { self.rules = rules }
}

extension SpoolContext {
    var rules: SpoolRules { administration.rules }

    /// Where jobs find what they read.
    var readable: ReadableFolders {
        ReadableFolders(roots: [layout.corpora, layout.jobs] + rules.corpusRoots)
    }

    /// Who may have moved a file by hand, as a person is told.
    var mover: String? { sharing == .group ? "an administrator" : nil }
}

/// Lets others see that something long goes on.
final class SignsOfLife {
    /// Called again and again during whatever takes its time.
    var give: () -> Void = {}
    private var count = 0

    /// Called for each of many, so it gives a sign for some of them only.
    func giveForSome() {
        count &+= 1
        if count % 64 == 0 { give() }
    }
}

/// A part of a ``SpoolKeeper``: it owns what it keeps, and knows those parts only that came before it.
protocol SpoolRoom {
    var spool: SpoolContext { get }
}

extension SpoolRoom {
    var layout: SpoolLayout { spool.layout }
    var storage: any Storage { spool.storage }
    var clock: SpoolClock { spool.clock }
    var log: TroubleLog { spool.log }
    var files: JobFiles { JobFiles(layout: spool.layout, storage: spool.storage) }

    /// See ``TroubleLog/guarding(_:_:)``.
    @discardableResult
    func guarding(_ name: String, _ body: () throws(StorageError) -> Void) -> Bool { spool.log.guarding(name, body) }

    /// See ``SignsOfLife/giveForSome()``.
    func giveSign() { spool.signs.giveForSome() }
}
