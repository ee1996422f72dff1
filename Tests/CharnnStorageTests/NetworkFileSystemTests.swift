import SystemPackage
import Testing

@testable import CharnnStorage

@Suite struct NetworkFileSystemTests {
    /// As Linux writes it, the file system in question being `0:50`.
    private static func mounts(_ end: String) -> String {
        """
        22 27 0:21 / /proc rw,relatime - proc proc rw
        27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw
        61 27 0:50 / /home/a\\040b rw,nosuid shared:3 - \(end) rw,user_id=0,group_id=0

        """
    }

    @Test(arguments: [
        "fuse.sshfs a@b:", "fuse.sshfs a@b:/home/a", "fuse.glusterfs server:/volume", "fuse.rclone cloud:",
        "virtiofs home",
        "fuse.s3fs s3fs", "fuse https://example.org/dav/", "fuse //server/share", "fuse.unheard server:/a",
        "fuse.gcsfuse bucket",
    ])
    func `FUSE of the network is told by its type, or by what it mounts`(end: String) {
        let found = NetworkFileSystems.fuse(in: Self.mounts(end), device: 50)
        #expect(found == end.split(separator: " ").first.map(String.init))
    }

    @Test(arguments: [
        "fuseblk /dev/sdb1", "fuse.gocryptfs /home/a/.cipher", "fuse.mergerfs a:b", "fuse.lxcfs lxcfs",
        "fuse.ntfs-3g /dev/sdb1",
    ])
    func `FUSE of this machine is local`(end: String) {
        #expect(NetworkFileSystems.fuse(in: Self.mounts(end), device: 50) == nil)
    }

    @Test(arguments: [
        "", "61 27 0:50", "61 27 0:50 / /a rw - ", "61 27 0:50 / /a rw - fuse.sshfs", "a b c d e f g h - i",
    ])
    func `a table that cannot be read tells nothing`(table: String) {
        #expect(NetworkFileSystems.fuse(in: table, device: 50) == nil)
    }

    @Test func `a device is split into its two numbers as Linux does`() {
        // 0x12345:0x6789AB
        let device: UInt64 = (0x12000 << 32) | (0x6789 << 20) | (0x345 << 8) | 0xAB
        let line = "1 2 74565:6785451 / /a rw - fuse.sshfs a:"
        #expect(NetworkFileSystems.fuse(in: line, device: device) == "fuse.sshfs")
    }

    @Test func `of a path that is not there the nearest folder above it is asked`() throws {
        let storage = LocalStorage()
        // What this checkout lies on is whatever it is; /proc is of no network.
        #expect(try storage.networkFileSystem(at: "/proc/not/there") == nil)
        #expect(try storage.networkFileSystem(at: "/dev/null/not/there") == nil)
        #expect(try storage.networkFileSystem(at: "not/there") == storage.networkFileSystem(at: "."))
    }
}
