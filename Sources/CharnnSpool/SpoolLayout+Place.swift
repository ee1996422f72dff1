public import CharnnStorage
internal import Glibc
public import SystemPackage

extension SpoolLayout {
    /// A person's spool that would lie on a network file system, and lies on a local one instead.
    public struct Relocation: Sendable, Hashable {
        /// Where it would be.
        public var from: FilePath
        /// What is there, such as `nfs`.
        public var fileSystem: String
    }

    /// The spool that both programs use: the one asked for, else `$CHARNND_SPOOL`, else `/var/spool/charnnd` where this
    /// user may use it, else `charnnd` below `$XDG_STATE_HOME` or `~/.local/state`, or where that is on a network file
    /// system `/var/tmp/charnnd-UID`.
    ///
    /// - Parameters:
    ///   - requested: What `--spool` or the configuration names.
    ///   - isDaemon: A daemon uses the system's spool only where it may own it; a person's tool where it may drop.
    ///   - storage: Asked what the default lies on.
    ///   - local: Where a person's spool lies that cannot be in the home folder.
    /// - Throws: ``StorageError/Code/notOwn`` where somebody else has taken that place.
    public static func choose(
        _ requested: FilePath?, isDaemon: Bool, environment: (String) -> String? = Self.variable,
        system: FilePath = "/var/spool/charnnd", on storage: some Storage = LocalStorage(),
        local: FilePath = Self.localDefault
    ) throws(StorageError) -> SpoolLayout {
        if let requested { return SpoolLayout(root: absolute(requested)) }
        if let named = environment("CHARNND_SPOOL"), !named.isEmpty {
            return SpoolLayout(root: absolute(FilePath(named)))
        }
        let shared = SpoolLayout(root: system)
        let usable = isDaemon ? shared.accepting : shared.incoming
        if access(usable.string, W_OK | X_OK) == 0 { return shared }
        let own = try own(environment, on: storage, local)
        return !isDaemon && access(shared.incoming.string, F_OK) == 0 ? own.instead(of: system) : own
    }

    /// The spool of this user's own that nobody has named.
    private static func own(
        _ environment: (String) -> String?, on storage: some Storage, _ local: FilePath
    ) throws(StorageError) -> SpoolLayout {
        let home = environment("HOME") ?? "/"
        let state = environment("XDG_STATE_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "\(home)/.local/state"
        let own = SpoolLayout(root: FilePath(state).appending("charnnd"))
        // What cannot be looked at will be told when it is to be used.
        guard let found = (try? storage.networkFileSystem(at: own.root)) ?? nil,
            (try? storage.networkFileSystem(at: local)) == .some(nil)
        else { return own }
        let moved = own.relocated(to: local, found)
        try moved.requireOwn(on: storage)
        return moved
    }

    /// The spool in whose ``runs`` this user's runs lie: this one, or where it is shared the user's own.
    public func homeOfRuns(
        environment: (String) -> String? = Self.variable, on storage: some Storage = LocalStorage(),
        local: FilePath = Self.localDefault
    ) throws(StorageError) -> SpoolLayout {
        try sharing(on: storage) == .personal ? self : Self.own(environment, on: storage, local)
    }

    /// `/var/tmp/charnnd-UID`: on a local disk, and there after a reboot.
    public static var localDefault: FilePath { FilePath("/var/tmp/charnnd-\(getuid())") }

    /// What a person is told who is about to use the spool: that it is another than the system's, or, once, when it is
    /// about to be made, than that in the home folder; nil where there is nothing to tell.
    public func notice(on storage: some Storage) throws(StorageError) -> String? {
        if let shut {
            return
                "you may not use \(shut) (sudo adduser $USER charnnd-submit, then log in again); this goes into a spool of "
                + "your own, \(root)"
        }
        guard let relocation, try storage.status(of: root) == nil else { return nil }
        let former = try storage.status(of: relocation.from) == nil ? "" : "; what is in the former stays there"
        return "\(relocation.from) lies on a network file system (\(relocation.fileSystem)), so the spool is made in "
            + "\(root), on this machine's disk\(former); CHARNND_SPOOL or --spool names another"
    }

    /// Refuses a spool on a network file system: two daemons on two machines would both have its lock, and of what
    /// another machine drops no daemon is told.
    public func requireLocal(on storage: some Storage) throws(StorageError) {
        for path in [root, accepting] {
            guard let found = try storage.networkFileSystem(at: path) else { continue }
            // The system's spool has its place; of a person's the place can be another.
            let isLocal = try storage.networkFileSystem(at: Self.localDefault) == nil
            let mayMove = try sharing(on: storage) == .personal && isLocal
            throw StorageError(
                .networkFileSystem, call: "statfs", path: root, beside: mayMove ? Self.localDefault : nil, found: found,
                errno: .notSupported)
        }
    }

    /// Refuses a place in a folder where everybody may make files, if somebody else was there first: a spool that
    /// another owns would be read and led by them.
    func requireOwn(on storage: some Storage) throws(StorageError) {
        guard relocation != nil, let found = try storage.status(of: root) else { return }
        let what: String
        if found.kind == .link {
            what = "a link"
        } else if found.kind != .directory {
            what = "no folder"
        } else if found.owner != getuid() {
            what = "another user's (\(found.owner))"
        } else if found.mode.bits & 0o022 != 0 {
            what = "open to be written to by others"
        } else {
            return
        }
        throw StorageError(.notOwn, call: "lstat", path: root, found: what, errno: .permissionDenied)
    }

    /// A variable of this process's environment.
    public static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func absolute(_ path: FilePath) -> FilePath {
        guard path.isRelative, let current = getcwd(nil, 0) else { return path.lexicallyNormalized() }
        defer { free(current) }
        return FilePath(String(cString: current)).pushing(path).lexicallyNormalized()
    }
}
