import CharnnJobs
import CharnnSpool
import CharnnStorage
import SystemPackage

/// What lies already in the folder that a run is to have.
extension ForegroundJob {
    /// How an earlier run in the folder ended; nil: there was none, or it is to be forgotten.
    ///
    /// - Throws: What lies there is not this run's to overwrite or to remove. Nothing is changed.
    func formerStatus(of job: JobFile) throws -> JobStatus? {
        let known: JobStatus?
        do throws(StorageError) {
            known = try JobStatus.read(folder.appending(.status), on: storage)
        } catch {
            guard error.code == .damaged else { throw error }
            // In a folder that a person named it may be a job's.
            guard folder == runs.home.folder(ofRun: name) else {
                throw Failure("\(error); name another folder with --output, or move that one away", status: 65)
            }
            guard isFresh else {
                throw Failure("\(error); `\(command) --fresh` begins anew and removes what lies there", status: 65)
            }
            return nil
        }
        guard let known else {
            try requireEmpty()
            return nil
        }
        guard known.isOfRun else {
            throw Failure(
                "\(folder) belongs to a job of the queue; give --output another folder, or the file another name",
                status: 73)
        }
        guard !isFresh else { return nil }
        guard known.job == name else {
            throw Failure(
                "\(folder) is the folder of a run \(known.job), and \(fileName) is called \(name); name another folder with "
                    + "--output, or \(environment.startingAnew)", status: 73)
        }
        try requireSameWork(job)
        return known
    }

    /// Refuses a folder with files that no run wrote: it would overwrite them, and take them for its own.
    private func requireEmpty() throws {
        guard try storage.status(of: folder) != nil else { return }
        // What a run leaves that is ended before its first word.
        let status = folder.appending(.status).partial.lastComponent?.string
        let own = [JobFolderFile.lock.rawValue, status]
        let found = try storage.list(folder).sorted().first { !own.contains($0) }
        guard let found else { return }
        throw Failure(
            "\(folder) is not empty (\(found)), and no run has written there; name a new or an empty folder with --output, or "
                + "move away what lies there", status: 73)
    }

    /// Refuses a job file that does other work than the folder's run: what one has made would be told of the other.
    private func requireSameWork(_ job: JobFile) throws {
        let path = folder.appending(.jobFile)
        guard let bytes = try storage.contents(of: path, limit: SpoolKeeper.largestFile) else { return }
        let former: JobFile
        do {
            former = try JobFile.parse(bytes, fileName: path.string, memory: MemoryBound(.max))
        } catch {
            throw Failure(
                "\(error)\nBy this file it is known what the run does; mend it, or \(environment.startingAnew)",
                status: 65)
        }
        guard (former.train == nil) != (job.train == nil) || former.sections.isDisjoint(with: job.sections) else {
            return
        }
        throw Failure(
            "\(folder) is the folder of a run with \(former.sections.sorted().joined(separator: " and ")), and \(fileName) has "
                + "\(job.sections.sorted().joined(separator: " and ")); name another folder with --output, or "
                + environment.startingAnew, status: 73)
    }

    /// Refuses to remove what the job reads.
    func requireKept(_ files: [FilePath]) throws {
        let folder = folder.real
        for file in files.map(\.real) where file.starts(with: folder) {
            let inside = file.components.dropFirst(folder.components.count).first?.string
            guard let inside, JobFolderFile(rawValue: inside) != nil else { continue }
            throw Failure(
                "\(file) is read by the job, and --fresh would remove it; copy it to another place and name the copy",
                status: 65)
        }
    }
}

extension JobFile {
    /// The sections that it has, by their keys.
    fileprivate var sections: Set<String> {
        var sections: Set<String> = []
        if train != nil { sections.insert("train") }
        if !generate.isEmpty { sections.insert("generate") }
        if evaluate != nil { sections.insert("evaluate") }
        return sections
    }
}
