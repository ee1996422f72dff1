import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// Who may read by a POSIX access list.
struct AccessListTests {
    /// As `setfacl` makes it: tags 1 owner, 2 user, 4 owning group, 8 group, 16 mask, 32 other.
    private func list(_ entries: [(tag: UInt8, rights: UInt8, identifier: UInt8)]) -> [UInt8] {
        [2, 0, 0, 0] + entries.flatMap { [$0.tag, 0, $0.rights, 0, $0.identifier, 0, 0, 0] }
    }

    private func mayRead(_ bytes: [UInt8], _ user: UInt32, _ groups: Set<UInt32> = []) throws -> Bool {
        try #require(AccessList(bytes)).permits(4, user: user, groups: groups, owner: 1, group: 10)
    }

    @Test func `a user named in the list has what it says, whatever others have`() throws {
        let denied = list([(1, 6, 0), (2, 0, 7), (4, 4, 0), (16, 4, 0), (32, 4, 0)])
        #expect(try !mayRead(denied, 7))
        #expect(try !mayRead(denied, 7, [10]))
        #expect(try mayRead(denied, 8))
        let granted = list([(1, 6, 0), (2, 4, 7), (4, 0, 0), (16, 4, 0), (32, 0, 0)])
        #expect(try mayRead(granted, 7))
        #expect(try !mayRead(granted, 8))
        #expect(try mayRead(granted, 1))
    }

    @Test func `the mask limits users and groups, and not the owner and others`() throws {
        let masked = list([(1, 4, 0), (2, 4, 7), (4, 4, 0), (8, 4, 20), (16, 0, 0), (32, 4, 0)])
        #expect(try mayRead(masked, 1))
        #expect(try !mayRead(masked, 7))
        #expect(try !mayRead(masked, 8, [10]))
        #expect(try !mayRead(masked, 8, [20]))
        #expect(try mayRead(masked, 8))
    }

    @Test func `one of several groups is enough, and none of them shuts out`() throws {
        let groups = list([(1, 6, 0), (4, 0, 0), (8, 4, 20), (16, 7, 0), (32, 4, 0)])
        #expect(try mayRead(groups, 8, [10, 20]))
        #expect(try !mayRead(groups, 8, [10]))
        #expect(try mayRead(groups, 8, [30]))
    }

    @Test(arguments: [[], [2], [3, 0, 0, 0], [2, 0, 0, 0, 1], [2, 0, 0, 0, 64, 0, 4, 0, 0, 0, 0, 0]] as [[UInt8]])
    func `what is no list grants nothing`(bytes: [UInt8]) {
        #expect(AccessList(bytes) == nil)
    }

    @Test func `a list is read as it was written, by the kernel too`() throws {
        let list = AccessList(0o2750, named: [(.group(901), 7), (.user(1001), 5), (.user(7), 0)])
        #expect(AccessList(list.bytes) == list)
        #expect(list.rights(of: .owningGroup) == 5 && list.rights(of: .group(901)) == 7 && list.rights(of: .other) == 0)
        let (folder, storage) = (TemporaryDirectory("lists"), LocalStorage())
        do throws(StorageError) {
            try storage.setAccessList(list, of: folder.path)
        } catch {
            // Where the file system has none there is nothing to compare with.
            #expect(error.code == .unsupported)
            return
        }
        #expect(try storage.accessList(of: folder.path).flatMap { AccessList($0) } == list)
        try storage.setAccessList(AccessList(0o750), of: folder.path)
        #expect(try storage.accessList(of: folder.path) == nil)
        #expect(try storage.status(of: folder.path).map { $0.mode.bits & 0o777 } == 0o750)
    }

    @Test func `every member of a group may read what neither the group nor a name is denied`() throws {
        #expect(AccessList(0o640).permitsAll(4, member: 10, group: 10))
        #expect(!AccessList(0o640).permitsAll(4, member: 11, group: 10))
        #expect(AccessList(0o604).permitsAll(4, member: 11, group: 10))
        #expect(!AccessList(0o604).permitsAll(4, member: 10, group: 10))
        #expect(AccessList(0o600, named: [(.group(10), 4)]).permitsAll(4, member: 10, group: 1))
        #expect(!AccessList(0o644, named: [(.user(7), 0)]).permitsAll(4, member: 10, group: 10))
    }
}
