internal import SystemPackage

/// Which file systems other machines have a part in.
///
/// On them a lock may hold on one machine alone, and of what another machine does no notification comes.
enum NetworkFileSystems {
    /// What statfs says of all that is FUSE, whether it is local or not.
    static let fuse: UInt32 = 0x6573_5546

    /// By the number that statfs gives (linux/magic.h, and the sources of those that are not part of Linux).
    static let names: [UInt32: String] = [
        0x6969: "nfs", 0x517B: "smb", 0xFF53_4D42: "cifs", 0xFE53_4D42: "smb2", 0x5346_414F: "afs",
        0x6B41_4653: "afs", 0x7375_7245: "coda", 0x564C: "ncp", 0x00C3_6400: "ceph", 0x0102_1997: "9p",
        0x0BD0_0BD0: "lustre", 0x0116_1970: "gfs2", 0x7461_636F: "ocfs2", 0x4750_4653: "gpfs",
        0x1983_0326: "beegfs", 0x2003_0528: "orangefs", 0xAAD7_AAEA: "panfs", 0x0131_11A8: "ibrix",
        0x786F_4256: "vboxsf", 0xBACB_ACBC: "vmhgfs", 0x7C7C_6673: "prl_fs",
    ]

    /// Types of FUSE that are known to be of the network, or shared with the host of a virtual machine.
    private static let remote: Set<String> = [
        "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "davfs", "gcsfuse", "glusterfs", "goofys", "hdfs",
        "juicefs", "lizardfs", "moosefs", "mfs", "prl_fsd", "rclone", "s3fs", "seaweedfs", "sshfs", "virtiofs",
        "vmhgfs-fuse", "weed",
    ]

    /// Types of FUSE that mount several folders of this machine and join their names with colons.
    private static let local: Set<String> = ["fuseblk", "mergerfs", "unionfs", "unionfs-fuse"]

    /// Of a FUSE file system the type, if it is one of the network; nil where it is local, or the table does not tell.
    ///
    /// By its type, or where that is not known by what is mounted: what names a host, such as `host:/folder`, a share or an
    /// address, is not here.
    /// - Parameters:
    ///   - mounts: The contents of /proc/self/mountinfo.
    ///   - device: Of any file on it.
    static func fuse(in mounts: String, device: UInt64) -> String? {
        let major = (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF)
        let minor = (device & 0xFF) | (device >> 12 & 0xFFFF_FF00)
        for line in mounts.split(separator: "\n") {
            // ID, parent, device, root, mount point, options, any number of others, a dash, type, source, options.
            let words = line.split(separator: " ")
            guard words.count > 2, words[2] == "\(major):\(minor)", let dash = words.firstIndex(of: "-"),
                dash + 2 < words.count
            else { continue }
            let (type, source) = (String(words[dash + 1]), words[dash + 2])
            let name = type.hasPrefix("fuse.") ? String(type.dropFirst(5)) : type
            let isHost = source.contains(":") && !source.hasPrefix(":") && !source.hasPrefix("/")
            let isElsewhere = !local.contains(name) && (isHost || source.hasPrefix("//"))
            return remote.contains(name) || isElsewhere ? type : nil
        }
        return nil
    }
}
