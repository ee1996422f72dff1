import CharnnModel
public import CharnnSpool

extension JobFile {
    /// What the spool needs to know of a job file.
    ///
    /// The spool knows nothing of job files: it is given this function, and learns of a file whether it is valid and
    /// what its turn depends on. It is called for each drop and again at each claim, and so must be quick and open
    /// nothing.
    public static let requirements: JobCheck = { bytes, fileName throws(JobRejection) in
        do throws(JobFileError) {
            let file = try JobFile.parse(bytes, fileName: fileName)
            var requirements = JobRequirements(
                priority: file.priority, after: file.after, modelJobs: file.modelJobs, mayUseGPU: file.device != .cpu)
            requirements.ended = Set(file.predecessors.filter { $0.when == .ended }.map(\.job))
            requirements.share = file.share
            requirements.texts = file.textPaths
            requirements.modelPaths = file.modelPaths
            requirements.textLength = file.generate.map(\.request.length).max() ?? 0
            requirements.textCount = file.generate.reduce(0) { sum, section in
                let (more, isTooMuch) = sum.addingReportingOverflow(section.request.count)
                return isTooMuch ? .max : more
            }
            // Floating point, since absurd sizes are only refused where they are read.
            requirements.memory = file.train.map { $0.from == nil ? UInt64(min($0.leastMemory, 0x1p62)) : 0 } ?? 0
            return requirements
        } catch {
            throw JobRejection(error.description)
        }
    }
}
