import CharnnCheckpoint
import CharnnJobs
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import Crypto
import Foundation
import SystemPackage

/// Looks for broken promises.
struct Inspection {
    let expectations: Expectations
    private(set) var problems: [String] = []

    init(_ expectations: Expectations) { self.expectations = expectations }

    private mutating func require(_ isSo: Bool, _ problem: @autoclosure () -> String) {
        if !isSo { problems.append(problem()) }
    }

    // MARK: - As the power failure left it

    /// Every file that bears its name is whole, before anything has been mended.
    mutating func inspectRemains(_ image: DiskImage) {
        let disk = SimulatedDisk(image)
        for (path, bytes) in image.files {
            let names = path.split(separator: "/").map(String.init)
            guard names.count >= 3, !names.contains(where: { $0.hasPrefix(".") && $0 != ".sequence" }) else { continue }
            if JobState(rawValue: names[1]) != nil {
                if path.hasSuffix(".reason.txt") {
                    require(bytes.last == 10, "\(path) is not whole")
                } else {
                    require(expectations.texts.contains(bytes), "\(path) is not whole")
                }
            } else if names[1] == "accepting" {
                let isWhole =
                    names[2] == ".sequence"
                    ? bytes.last == 10 && bytes.dropLast().allSatisfy { (48...57).contains($0) }
                    : expectations.texts.contains(bytes)
                require(names[2] == ".lock" || isWhole, "\(path) is not whole")
            } else if names[1] == "jobs", names.count > 3 {
                inspectResult(path, names[3], bytes, disk)
            }
        }
        inspectSecrets(disk)
        for (job, step) in expectations.checkpoints where !expectations.removing.contains(job) {
            let folder = CheckpointFolder(Night.layout.folder(of: job).appending("checkpoints"), in: disk)
            let found = (try? folder.newest().checkpoint)??.state.progress.step ?? 0
            require(found >= step, "\(job): the newest valid checkpoint is of step \(found), not \(step)")
        }
        inspectTexts(image.files)
    }

    /// What a job has written is never lost, whatever is asked of the job later.
    private mutating func inspectTexts(_ files: [String: [UInt8]]) {
        for (job, texts) in expectations.writtenTexts where !expectations.removing.contains(job) {
            let folder = "/spool/jobs/\(job)/generated/"
            let found = files.filter { $0.key.hasPrefix(folder) && !$0.key.contains("/.") }.map(\.value.sha256)
            let lost = texts.subtracting(found).count
            require(lost == 0, "\(job) has lost \(lost) of the texts that it wrote")
        }
    }

    /// What is its owner's alone nobody else gets at: neither at the daemon's files nor at what lies in the job's folder.
    private mutating func inspectSecrets(_ disk: SimulatedDisk) {
        let image = disk.image
        for (path, bytes) in image.files {
            let names = path.split(separator: "/").map(String.init)
            let job = Expectations.mark(of: bytes) ?? (names.count > 3 && names[1] == "jobs" ? names[2] : "")
            guard expectations.secrets.contains(job), (try? disk.status(of: FilePath(path)))??.owner == image.user
            else {
                continue
            }
            for who in [AccessList.Who.owningGroup, .other] {
                require(image.isShut(FilePath(path), to: who), "\(path) is its owner's alone and open to \(who)")
            }
        }
    }

    private mutating func inspectResult(_ path: String, _ name: String, _ bytes: [UInt8], _ disk: SimulatedDisk) {
        if expectations.texts.contains(bytes) { return }
        switch name {
        case "job.yaml": require(false, "\(path) is not whole")
        case "status.json":
            let status = try? JSONDecoder().decode(JobStatus.self, from: Data(bytes))
            require(status?.sequence != nil && status?.ticket != nil, "\(path) is not whole")
        case "metrics.csv":
            require(String(decoding: bytes, as: UTF8.self).hasPrefix(MetricsFile.header), "\(path) is not whole")
        case "resolved.yaml":
            require((try? JobFile.parse(bytes, fileName: name)) != nil && bytes.last == 10, "\(path) is not whole")
        case _ where name.hasSuffix(".json"):
            require((try? JSONSerialization.jsonObject(with: Data(bytes))) != nil, "\(path) is not whole")
        case "model.safetensors", "last.safetensors":
            require((try? Model(reading: FilePath(path), in: disk)) != nil, "\(path) is not whole")
        case "checkpoints":
            require((try? Checkpoint(reading: FilePath(path), in: disk)) != nil, "\(path) is not whole")
        default: break
        }
    }

    // MARK: - After recovery

    /// A job as it lies in the spool.
    private struct Found {
        var name: String
        var state: JobState
        var status: JobStatus?
        var bytes: [UInt8]
    }

    /// Nothing is missing, nothing is there twice, and statuses say what directories say.
    mutating func inspectSpool(_ image: DiskImage) {
        let files = image.files
        var places: [String: [String]] = [:]
        var jobs: [Found] = []
        for (path, bytes) in files {
            let names = path.split(separator: "/").map(String.init)
            guard names.count == 3, names[0] == "spool" else { continue }
            if ["incoming", "accepting"].contains(names[1]) {
                require(names[2].hasPrefix("."), "\(path) has been left")
                continue
            }
            guard let state = JobState(rawValue: names[1]) else { continue }
            guard !names[2].hasPrefix(".") else {
                problems.append("\(path) has been left")
                continue
            }
            guard !path.hasSuffix(".reason.txt"), let mark = Expectations.mark(of: bytes) else { continue }
            places[mark, default: []].append(path)
            let name = names[2].split(separator: ".").dropLast().joined(separator: ".")
            let json = files["/spool/jobs/\(name)/status.json"]
            let status = json.flatMap { try? JSONDecoder().decode(JobStatus.self, from: Data($0)) }
            if state == .rejected, status?.ticket?.file != names[2] {
                let isExplained = files[path + ".reason.txt"] != nil || expectations.unexplained.contains(names[2])
                require(isExplained, "\(path) has no reason")
            } else {
                require(status?.state == state, "\(path): its status says \(status?.state.rawValue ?? "nothing")")
                jobs.append(Found(name: name, state: state, status: status, bytes: bytes))
            }
        }
        let gone = Set(expectations.removing)
        for mark in expectations.marks {
            let found = places[mark] ?? []
            let mayBeGone = gone.contains(mark)
            require(found.count == 1 || (mayBeGone && found.isEmpty), "\(mark) is in \(found.sorted())")
            if expectations.removed.contains(mark) { require(found.isEmpty, "\(mark) was removed and is back") }
        }
        let numbers = jobs.compactMap { $0.status?.sequence }
        require(Set(numbers).count == jobs.count, "sequence numbers \(numbers.sorted()) of \(jobs.count) jobs")
        inspectFolders(files)
        inspectWishes(jobs, files)
        inspectSecrets(SimulatedDisk(image))
        inspectTexts(files)
        inspectRights(image, jobs)
        for (job, state) in expectations.places {
            let found = jobs.first { $0.name == job }?.state
            require(found == state, "\(job) was put into \(state.rawValue) and is in \(found?.rawValue ?? "nothing")")
        }
        for (job, results) in expectations.finished where !gone.contains(job) {
            let status = jobs.first { $0.name == job }?.status
            require(status?.results == results, "\(job) has lost its result")
        }
        for job in jobs {
            require(job.state != .cancelled || expectations.touched.contains(job.name), "nobody cancelled \(job.name)")
            inspectResults(of: job, files)
        }
    }

    /// What people asked for is so, and what was told of the queue is so still.
    private mutating func inspectWishes(_ jobs: [Found], _ files: [String: [UInt8]]) {
        for (job, bytes) in expectations.contents where !expectations.removing.contains(job) {
            require(jobs.first { $0.name == job }?.bytes == bytes, "\(job): an edit was lost")
        }
        if let isPaused = expectations.isPaused {
            let isFound = files["/spool/jobs/.paused.json"] != nil
            require(isFound == isPaused, "the queue was \(isPaused ? "paused" : "resumed") and is not")
        }
        for (job, missing) in expectations.missingTexts where files["/spool/corpora/\(missing.text)"] == nil {
            guard let found = jobs.first(where: { $0.name == job }), found.state == .queue else { continue }
            require(
                found.status?.awaitedText?.missingSince == missing.since,
                "\(job) has forgotten since when it waits for \(missing.text)")
        }
    }

    /// In a shared spool only administrators move jobs by hand, and those read what jobs make of whom statuses say so.
    private mutating func inspectRights(_ image: DiskImage, _ jobs: [Found]) {
        func mayWrite(_ path: FilePath) -> Bool {
            guard let list = image.rights(at: path) else { return false }
            return [AccessList.Who.owningGroup, .other].contains { list.rights(of: $0).map { $0 & 2 != 0 } ?? false }
        }
        guard mayWrite(Night.layout.incoming) else { return }
        for path in JobState.allCases.map(Night.layout.directory) + [Night.layout.jobs] {
            require(!mayWrite(path), "\(path) can be written to by all")
        }
        for job in jobs {
            let path = Night.layout.status(of: job.name)
            guard let status = job.status, image.has(path) else { continue }
            let isShut = image.isShut(path, to: .owningGroup)
            if status.isPrivate == true {
                require(isShut || expectations.opening.contains(job.name), "\(job.name) is private, its folder is open")
            } else {
                require(!isShut || expectations.closing.contains(job.name), "\(job.name) is shared, its folder is shut")
            }
        }
    }

    /// One folder a job file, whatever happened on the way.
    private mutating func inspectFolders(_ files: [String: [UInt8]]) {
        var folders: [String: [String]] = [:]
        for (path, bytes) in files where path.hasPrefix("/spool/jobs/") && path.hasSuffix("/job.yaml") {
            let name = path.split(separator: "/")[2]
            require(!name.hasPrefix("."), "\(path) has been left")
            if let mark = Expectations.mark(of: bytes) { folders[mark, default: []].append(String(name)) }
        }
        for (mark, found) in folders { require(found.count == 1, "\(mark) has the folders \(found.sorted())") }
    }

    /// A finished job has every result that its record names, with that checksum.
    private mutating func inspectResults(of job: Found, _ files: [String: [UInt8]]) {
        guard [.done, .failed].contains(job.state), !expectations.removing.contains(job.name) else { return }
        require(
            job.state == .failed || job.status?.results?.isEmpty == false, "\(job.name) is done without a result")
        for result in job.status?.results ?? [] {
            let bytes = files["/spool/jobs/\(job.name)/\(result.path)"]
            require(bytes?.count == result.bytes, "\(job.name) has ended without \(result.path)")
            require(
                bytes.map { $0.sha256 } == result.sha256, "\(job.name): \(result.path) is not the one it ended with")
        }
    }

    /// What lets a spool be the same whatever happened: the bytes of all results that tell no times. Texts of earlier
    /// attempts are looked at on their own: there are as many as attempts were asked for.
    static func results(_ image: DiskImage) -> [String: String] {
        var found: [String: String] = [:]
        for (path, bytes) in image.files where path.hasPrefix("/spool/jobs/") {
            let name = path.split(separator: "/").dropFirst(3).joined(separator: "/")
            let isResult =
                ["model.safetensors", "last.safetensors", "evaluation.json", "metrics.csv"].contains(name)
                || (name.hasPrefix("generated/") || name.hasPrefix("samples/")) && !name.contains("/.")
                    && !name.contains("/attempt-")
            if isResult { found[path] = bytes.sha256 }
        }
        return found
    }

    mutating func compare(_ image: DiskImage, with undisturbed: [String: String], of jobs: Set<String>) {
        let found = Self.results(image)
        for (path, sha256) in undisturbed where jobs.contains(String(path.split(separator: "/")[2])) {
            require(found[path] == sha256, "\(path) differs from that of the undisturbed run")
        }
    }
}

extension [UInt8] {
    fileprivate var sha256: String {
        SHA256.hash(data: self).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
