import ArgumentParser
import CharnnJobs
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

/// `--spool`, for every command that looks into one.
///
/// A command takes the spool by what it wants to do: ``existing(_:)`` to look or to ask, ``prepared(_:)`` to hand
/// something over, ``preparedForRuns(_:)`` to work itself. None of them makes a spool where somebody only looks.
struct SpoolOptions: ParsableArguments {
    @Option(
        name: .long, help: ArgumentHelp("The spool folder.", discussion: spoolHelp, valueName: "dir"),
        completion: .directory)
    var spool: String?

    /// Where the spool is, whether it is there or not: the option, the environment, the system's, or one's own.
    var layout: SpoolLayout {
        get throws { try SpoolLayout.choose(spool.map { FilePath($0) }, isDaemon: false) }
    }

    /// A spool that is there already: looking into one does not make it, for its name may be mistyped.
    ///
    /// - Throws: ``Failure``, where there is none, or it is not this user's to look at.
    func existing(_ storage: any Storage) throws -> SpoolLayout {
        let layout = try layout
        guard try whereAllowed(layout, { try storage.status(of: layout.incoming)?.kind == .directory }) else {
            throw Failure(
                "there is no spool at \(layout.root); the first `charnn demo`, `charnn submit` or charnnd makes it, or "
                    + "name another with --spool", status: 66)
        }
        return try made(layout, storage)
    }

    /// The spool with its directories made, where it is the person's own, to be worked in.
    func prepared(_ storage: any Storage) throws -> SpoolLayout {
        let layout = try layout
        try whereAllowed(layout) { try layout.requireLocal(on: storage) }
        if let notice = try layout.notice(on: storage) { Terminal.error("charnn: \(notice)") }
        return try made(layout, storage)
    }

    /// The spool and the person's runs, which lie in their own: both to be worked in.
    func preparedForRuns(_ storage: any Storage) throws -> (SpoolLayout, RunFolders) {
        let layout = try prepared(storage)
        let runs = try RunFolders(besides: layout, storage: storage)
        // In the system's spool nobody has runs: they lie in the person's own.
        if runs.home != layout {
            try whereAllowed(runs.home) { try runs.home.requireLocal(on: storage) }
            _ = try made(runs.home, storage)
        }
        return (layout, runs)
    }

    /// Makes what an older version did not have yet; in another's spool its daemon does that.
    private func made(_ layout: SpoolLayout, _ storage: any Storage) throws -> SpoolLayout {
        try whereAllowed(layout) {
            if let incoming = try storage.status(of: layout.incoming), incoming.owner != geteuid() { return }
            if try layout.directories(.personal).contains(where: { try storage.status(of: $0.path) == nil }) {
                try layout.create(try layout.sharing(on: storage), on: storage)
            }
        }
        return layout
    }

    /// Does something with the spool as a whole, and says whose it is if it may not.
    private func whereAllowed<Result>(_ layout: SpoolLayout, _ work: () throws -> Result) throws -> Result {
        do {
            return try work()
        } catch let error as StorageError where error.code == .denied {
            throw Failure(
                "you may not use the spool \(layout.root) (\(error)); name one of your own with --spool, or, if it is the "
                    + "system's: sudo adduser $USER charnnd-submit, then log in again", status: 77)
        }
    }
}

/// A job file that a person names.
///
/// It is read as a whole and once: what was checked is what is run or handed over, whatever happens to the file.
struct NamedJobFile {
    /// The job's name.
    var name: String
    var path: FilePath
    var bytes: [UInt8]

    init(_ file: String, in storage: any Storage) throws {
        path = FilePath(file).absolute
        guard let name = path.lastComponent.flatMap({ JobFileName($0.string) })?.name.text else {
            throw Failure("\(file): a job file is named NAME.yaml, NAME.yml or NAME.json", status: Failure.usage)
        }
        self.name = name
        // One byte more than a job file may have, so that it is called too long and not cut.
        guard let bytes = try storage.contents(of: path.real, limit: SpoolKeeper.largestFile + 1) else {
            throw Failure("\(file): there is no such file; name a job file", status: 66)
        }
        self.bytes = bytes
    }
}

extension FilePath {
    /// The path with every link on its way followed, or as it is if nothing is there.
    ///
    /// For a person's own files only: in a spool links are not followed.
    var real: FilePath {
        guard let resolved = realpath(string, nil) else { return self }
        defer { free(resolved) }
        return FilePath(String(cString: resolved))
    }

    /// The path made absolute from the current folder.
    ///
    /// Links on the way stay; `..` is taken as written.
    var absolute: FilePath {
        guard isRelative, let current = getcwd(nil, 0) else { return lexicallyNormalized() }
        defer { free(current) }
        return FilePath(String(cString: current)).pushing(self).lexicallyNormalized()
    }
}
