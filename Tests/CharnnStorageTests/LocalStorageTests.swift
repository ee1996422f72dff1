import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

@Suite(.endsWhatHangs)
struct LocalStorageTests {
    let storage = LocalStorage()
    let folder = TemporaryDirectory()
    var root: FilePath { folder.path }

    private func code(_ body: () throws(StorageError) -> Void) -> StorageError.Code? {
        do { try body() } catch { return error.code }
        return nil
    }

    private func write(_ name: String, _ text: String) throws -> FilePath {
        let path = root.appending(name)
        try storage.replace(path, with: Array(text.utf8))
        return path
    }

    @Test func `what is written is read back, and a file grows at its end`() throws {
        let path = try write("a", "one")
        try storage.openForAppending(path, mode: 0o640).append(Array(" two".utf8))
        #expect(try storage.contents(of: path) == Array("one two".utf8))
        let file = try storage.open(path, beneath: nil)
        #expect(try file.read(at: 4, count: 100) == Array("two".utf8))
        #expect(try file.read(at: 70, count: 100) == [])
        let mapping = try file.map()
        #expect(Array(mapping.bytes) == Array("one two".utf8))
        withExtendedLifetime(mapping) {}
        #expect(try storage.list(root) == ["a"])
    }

    /// F_SETLEASE, which Swift does not import.
    private static let setLease: Int32 = 1024

    @Test func `a file that somebody has a lease on is not waited for without end`() throws {
        let path = try write("leased", "text")
        let holder = Glibc.open(path.string, O_RDWR)
        defer { close(holder) }
        // It is taken again as soon as the kernel asks for it, which it does by a signal.
        signal(SIGIO, SIG_IGN)
        #expect(fcntl(holder, Self.setLease, Int32(F_WRLCK)) == 0)
        let code = code { () throws(StorageError) in _ = try storage.open(path, beneath: root) }
        #expect(code == .busy)
        #expect(fcntl(holder, Self.setLease, Int32(F_UNLCK)) == 0)
        #expect(try storage.open(path, beneath: root).read(at: 0, count: 9) == Array("text".utf8))
    }

    @Test func `a lock is asked about without being taken or made`() throws {
        let path = root.appending("lock")
        #expect(try !storage.isLocked(path))
        #expect(try storage.status(of: path) == nil)
        var lock = try storage.lock(path)
        #expect(lock != nil)
        #expect(try storage.isLocked(path))
        #expect(try storage.lock(path) == nil)
        lock = nil
        #expect(try !storage.isLocked(path))
        lock = try storage.lock(path)
        #expect(lock != nil)
    }

    @Test func `a folder below its root is opened, and no link on the way`() throws {
        try storage.createDirectories(root.appending("top/a/b"), mode: 0o700)
        let top = root.appending("top")
        #expect(symlink("/tmp", top.appending("link").string) == 0)
        let folder = try storage.folder(top.appending("a/b"), beneath: top)
        // Wherever its name leads meanwhile.
        try storage.rename(top.appending("a"), to: root.appending("moved"), replacing: false)
        try storage.replace(folder.path.appending("text"), with: [1])
        #expect(try storage.list(root.appending("moved/b")) == ["text"])
        for path in ["link", "link/x", "..", "/etc"] {
            let code = code { () throws(StorageError) in
                _ = try storage.folder(top.pushing(FilePath(path)), beneath: top)
            }
            #expect(code == .outsideRoot, "\(path)")
        }
        withExtendedLifetime(folder) {}
    }

    @Test func `an empty file maps to nothing`() throws {
        #expect(try storage.open(try write("a", ""), beneath: nil).map().count == 0)
    }

    @Test func `a file is not created or moved over another unless that is asked for`() throws {
        let (one, two) = (try write("one", "1"), try write("two", "2"))
        #expect(code { () throws(StorageError) in _ = try storage.create(one, mode: 0o600) } == .alreadyExists)
        let refused = code { () throws(StorageError) in try storage.rename(one, to: two, replacing: false) }
        #expect(refused == .alreadyExists)
        #expect(try storage.contents(of: two) == Array("2".utf8))
        try storage.rename(one, to: two, replacing: true)
        #expect(try storage.contents(of: two) == Array("1".utf8))
        #expect(try storage.status(of: one) == nil)
    }

    @Test func `a claim that another process won is told as not found`() throws {
        let refused = code { () throws(StorageError) in
            try storage.rename(root.appending("gone"), to: root.appending("here"), replacing: false)
        }
        #expect(refused == .notFound)
    }

    @Test(arguments: ["link", "pipe", "folder"])
    func `only a regular file is opened, and nothing blocks`(kind: String) throws {
        let path = root.appending(kind)
        switch kind {
        case "link": #expect(symlink(try write("target", "x").string, path.string) == 0)
        case "pipe": #expect(mkfifo(path.string, 0o600) == 0)
        default: try storage.createDirectory(path, mode: 0o700)
        }
        #expect(code { () throws(StorageError) in _ = try storage.open(path, beneath: nil) } == .notRegular)
    }

    @Test(arguments: ["inside/../../secret", "../secret", "inside/link/secret", "inside/direct"])
    func `no path leads out of its root`(relative: String) throws {
        let corpora = root.appending("corpora")
        try storage.createDirectories(corpora.appending("inside"), mode: 0o700)
        let secret = try write("secret", "s")
        #expect(symlink(root.string, corpora.appending("inside/link").string) == 0)
        #expect(symlink(secret.string, corpora.appending("inside/direct").string) == 0)
        for path in [FilePath(relative), corpora.pushing(FilePath(relative))] {
            #expect(code { () throws(StorageError) in _ = try storage.open(path, beneath: corpora) } == .outsideRoot)
        }
    }

    @Test func `a file below its root opens by a relative and by an absolute path`() throws {
        let corpora = root.appending("corpora")
        try storage.createDirectories(corpora.appending("inside"), mode: 0o700)
        try storage.replace(corpora.appending("inside/a"), with: [7])
        #expect(try storage.open("inside/a", beneath: corpora).read(at: 0, count: 9) == [7])
        #expect(try storage.open(corpora.appending("inside/a"), beneath: corpora).read(at: 0, count: 9) == [7])
    }

    @Test func `a lock has one holder and ends with it`() throws {
        let path = root.appending(".lock")
        var held: (any StorageLock)? = try storage.lock(path)
        #expect(held != nil)
        #expect(try storage.lock(path) == nil)
        held = nil
        #expect(try storage.lock(path) != nil)
    }

    @Test func `somebody who writes is seen`() throws {
        let path = try write("a", "x")
        let reading = try storage.open(path, beneath: nil)
        #expect(reading.isOpenForWriting() == false)
        let writing = try storage.openForAppending(path, mode: 0o600)
        #expect(reading.isOpenForWriting() == true)
        withExtendedLifetime(writing) {}
    }

    @Test func `a watch tells what was written, moved in and removed`() async throws {
        let watch = try storage.watch([root])
        let path = try write("a", "x")
        try storage.remove(path)
        var seen: [StorageHint] = []
        for await hint in watch.hints {
            seen.append(hint)
            if hint == .changed(directory: root, name: "a") { watch.cancel() }
        }
        // What is written under a hidden name first is not told.
        #expect(!seen.contains { $0 == .changed(directory: root, name: ".a.partial") })
        #expect(seen.contains(.arrived(directory: root, name: "a")))
        #expect(seen.last == .changed(directory: root, name: "a"))
    }

    @Test func `a watched folder that goes away asks for a scan`() async throws {
        let watched = root.appending("w")
        try storage.createDirectory(watched, mode: 0o700)
        let watch = try storage.watch([watched])
        try storage.removeDirectory(watched)
        for await hint in watch.hints {
            #expect(hint == .overflow)
            break
        }
    }

    @Test func `hints that nobody takes in time end in one that asks for a scan`() async throws {
        let watch = try storage.watch([root])
        let (one, two) = (try write("one", "x"), root.appending("two"))
        // Each is two hints: more than the kernel and the stream hold together.
        for number in 0..<20_000 {
            try storage.rename(number % 2 == 0 ? one : two, to: number % 2 == 0 ? two : one, replacing: false)
        }
        var count = 0
        for await hint in watch.hints {
            count += 1
            if hint == .overflow { break }
        }
        #expect(count < 40_000)
        watch.cancel()
    }

    @Test func `a mode is not set through a link`() throws {
        let (path, link) = (try write("a", "x"), root.appending("link"))
        #expect(symlink(path.string, link.string) == 0)
        let before = try storage.status(of: path)?.mode
        #expect(throws: StorageError.self) { try storage.setMode(0o777, of: link) }
        #expect(try storage.status(of: path)?.mode == before)
    }

    @Test func `many files and folders are made durable together, or it is said that they were not`() throws {
        let files = try (0..<40).map { number in
            let file = try storage.create(root.appending("\(number)"), mode: 0o600)
            try file.append([1])
            return file
        }
        try storage.synchronize(files, directories: [root])
        #expect(throws: StorageError.self) {
            try storage.synchronize(files, directories: [root.appending("none")] + [root])
        }
    }

    @Test func `what comes of many files is told in their order, failures too`() throws {
        let outcomes = storage.forEach(of: Array(0..<1000)) { [root] number throws(StorageError) in
            guard number % 7 != 0 else { throw StorageError(.notFound, call: "open", path: root, errno: .ioError) }
            return number
        }
        #expect(outcomes.map { try? $0.get() } == (0..<1000).map { $0 % 7 == 0 ? nil : $0 })
    }

    @Test func `a failure is told in words`() throws {
        func message(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return ""
        }
        let path = root.appending("nothing/here")
        let missing = "\(path) cannot be"
        #expect(message { _ = try storage.open(path, beneath: nil) } == "\(missing) opened: No such file or directory")
        #expect(message { try storage.remove(path) } == "\(missing) removed: No such file or directory")
        #expect(message { _ = try storage.list(path) } == "\(missing) listed: No such file or directory")
        #expect(
            message { try storage.createDirectory(path, mode: 0o700) } == "\(missing) made: No such file or directory")
        #expect(message { _ = try storage.open(root, beneath: nil) } == "\(root) is no regular file")
    }

    @Test func `a missing file has no status and no contents`() throws {
        #expect(try storage.status(of: root.appending("a")) == nil)
        #expect(try storage.contents(of: root.appending("a")) == nil)
        #expect(try storage.status(of: root)?.kind == .directory)
        #expect(try storage.space(at: root).bytes > 0)
    }
}
