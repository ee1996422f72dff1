import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnWords
import Glibc
import SystemPackage

/// What `doctor` sees of the spool, its daemon and the service.
///
/// It looks with this user's rights and from this user's side: what is right for a member of charnnd-submit may be
/// wrong for somebody else, and the remedy is then about them.
struct ServiceFindings {
    var layout: SpoolLayout

    /// In the order in which one would mend them: without a spool the rest is of no use.
    func all() -> [Finding] {
        [spool(), corpora(), daemon(), unit(), configuration(), room(), journal()].compactMap(\.self)
    }

    /// Whether one can work in it: drop, look, and ask.
    private func spool() -> Finding {
        do {
            try layout.requireLocal(on: LocalStorage())
        } catch {
            let remedy = error.remedy ?? "name another with --spool"
            return .mend("Spool", error.description, remedy)
        }
        if access(layout.root.string, F_OK) != 0 {
            return .ok("Spool", "\(layout.root), not made yet; the first job or daemon makes it")
        }
        if access(layout.incoming.string, W_OK | X_OK) != 0 {
            return .mend(
                "Spool", "you may not drop jobs into \(layout.incoming)",
                "sudo adduser $USER charnnd-submit, then log in again; or name a spool of your own with --spool")
        }
        let storage = LocalStorage()
        let isShared = (try? layout.sharing(on: storage)) == .group
        // In a shared spool nobody but its administrators may move files; people ask by requests.
        let wanted = isShared ? R_OK | X_OK : R_OK | W_OK | X_OK
        let remedy = "sudo systemd-tmpfiles --create charnnd.conf, or charnn fsck --repair as its owner"
        if let state = JobState.allCases.first(where: { access(layout.directory($0).string, wanted) != 0 }) {
            return .mend("Spool", "\(layout.directory(state)) cannot be used by you", remedy)
        }
        if access(layout.requests.string, W_OK | X_OK) != 0 {
            return .mend("Spool", "you may not ask anything in \(layout.requests)", remedy)
        }
        guard isShared else { return .ok("Spool", "\(layout.root), you may submit, hold, cancel and retry") }
        return rights(storage, remedy)
    }

    /// Whether the shared spool keeps people's jobs from each other.
    ///
    /// An installation of an older version gave the group more, and a copy of a spool may have lost its access lists.
    private func rights(_ storage: LocalStorage, _ remedy: String) -> Finding {
        let people = People.system
        for path in [layout.jobs] + JobState.allCases.map(layout.directory) {
            guard let found = (try? storage.status(of: path)) ?? nil else { continue }
            let list = ((try? storage.accessList(of: path)) ?? nil).flatMap { AccessList($0) } ?? AccessList(found.mode)
            if let rights = list.rights(of: .owningGroup), rights & 2 != 0 {
                return .mend("Spool", "every member may move others' jobs in \(path)", remedy)
            }
            if let group = people.administrators, list.rights(of: .group(group)) != 7 {
                return .mend(
                    "Spool",
                    "\(path) has no access list for \(People.administratorsGroup): administrators ask like everybody else, "
                        + "and texts that are their owners' alone cannot be kept so where the file system has none",
                    remedy)
            }
        }
        let whose = people.isAdministrator(getuid()) ? "all jobs" : "your own jobs"
        return .ok("Spool", "\(layout.root), you may submit, and hold, release, cancel, retry and edit \(whose)")
    }

    /// nil: all is well, or there is no spool yet.
    private func corpora() -> Finding? {
        guard access(layout.root.string, F_OK) == 0 else { return nil }
        return access(layout.corpora.string, R_OK | W_OK | X_OK) == 0
            ? nil
            : .mend(
                "Texts", "you may not put texts into \(layout.corpora)",
                "sudo adduser $USER charnnd-submit, then log in again")
    }

    /// Told by the spool's lock. Where that may not be looked at, the service's control group says whether it runs.
    private func daemon() -> Finding {
        let client = SpoolClient(layout)
        return switch client.hasDaemon() {
        case true?: .ok("Daemon", "works in this spool")
        case false?: .note("Daemon", "none works in this spool", client.startRemedy)
        case nil where Self.runs:
            .ok("Daemon", "the system's service runs")
        case nil: .note("Daemon", "you may not see whether one works here", "systemctl status charnnd")
        }
    }

    /// Whether the system's service has processes, by either kind of control groups.
    private static var runs: Bool {
        ["", "/systemd", "/unified"].contains {
            access("/sys/fs/cgroup\($0)/system.slice/charnnd.service", F_OK) == 0
        }
    }

    /// Asked of the file system and not of systemd, which not everybody may ask.
    private func unit() -> Finding {
        func first(_ folders: [String], _ name: String) -> String? {
            folders.map { "\($0)/\(name)" }.first { access($0, F_OK) == 0 }
        }
        let system = [
            "/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
        ]
        guard access("/run/systemd/system", F_OK) == 0 else {
            return .note("Service", "systemd does not run here", "charnnd in a terminal works all the same")
        }
        guard let unit = first(system, "charnnd.service") else {
            return .note("Service", "not installed", "systemd/install in a checkout, or the Debian package; see README")
        }
        // A link of the enabled unit may lead to a tree that this process cannot see; that it is there is enough.
        var status = stat()
        let link = "/etc/systemd/system/multi-user.target.wants/charnnd.service"
        guard lstat(link, &status) == 0 else {
            return .note("Service", "\(unit), not started at boot", "sudo systemctl enable --now charnnd")
        }
        guard Self.runs else {
            return .note("Service", "\(unit), started at boot, and stopped now", "sudo systemctl start charnnd")
        }
        return .ok("Service", "\(unit), started at boot")
    }

    /// Reads the file as the daemon would at its next reload; nil: there is none, and the defaults hold.
    private func configuration() -> Finding? {
        let path = ServiceConfiguration.standardPath
        guard access(path.string, F_OK) == 0 else { return nil }
        do {
            let bytes = try LocalStorage().contents(of: path, limit: 1 << 20) ?? []
            _ = try ServiceConfiguration.parse(bytes, fileName: path.string)
            return .ok("Settings", "\(path)")
        } catch {
            return .mend("Settings", "\(error)", "Mend the line, then: sudo systemctl reload charnnd")
        }
    }

    /// Of the disk on which the spool is or will be. A gigabyte holds a few models of the usual size with their
    /// checkpoints.
    private func room() -> Finding {
        var folder = layout.root
        while access(folder.string, F_OK) != 0, folder.lastComponent != nil { folder = folder.removingLastComponent() }
        guard let space = try? LocalStorage().space(at: folder) else {
            return .mend("Disk", "cannot look at \(folder)", "ls -ld \(folder)")
        }
        let found = "\(byteCount(space.bytes)) free at \(folder)"
        if space.bytes < 1_000_000_000 {
            return .mend("Disk", found, "charnn clean --older-than 30d, or name a spool on a larger disk")
        }
        // File systems without a table of inodes say that they have none.
        if (1..<1000).contains(space.inodes) {
            return .mend("Disk", "\(found), but room for \(space.inodes) files only", "charnn clean --older-than 30d")
        }
        return .ok("Disk", found)
    }

    /// Whether this user sees more of the journal than what they write there themselves.
    private var mayReadJournal: Bool {
        let machine = (try? LocalStorage().contents(of: "/etc/machine-id", limit: 64)).flatMap { $0 } ?? []
        let name = String(decoding: machine.filter { $0 != 10 }, as: UTF8.self)
        return ["/var/log/journal", "/run/log/journal"].contains { access("\($0)/\(name)/system.journal", R_OK) == 0 }
    }

    /// Whether its story can be read, and is there after a reboot. `log.txt` in the job folders tells the same in any
    /// case.
    private func journal() -> Finding {
        guard access("/run/systemd/journal/socket", W_OK) == 0 else {
            return .note("Journal", "none on this machine; the daemon writes to standard error")
        }
        if (try? layout.sharing(on: LocalStorage())) == .group, !mayReadJournal {
            return .note(
                "Journal", "you may not read what the service writes there; log.txt in each job folder tells the same",
                "sudo adduser $USER systemd-journal, then log in again")
        }
        return access("/var/log/journal", F_OK) == 0
            ? .ok("Journal", "kept over reboots")
            : .note(
                "Journal", "forgotten at each reboot; log.txt in each job folder stays",
                "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald")
    }
}
