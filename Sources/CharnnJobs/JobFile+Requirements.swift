public import CharnnSpool

extension JobFile {
    /// What the spool needs to know of a job file.
    public static let requirements: JobCheck = { bytes, fileName throws(JobRejection) in
        do throws(JobFileError) {
            let file = try JobFile.parse(bytes, fileName: fileName)
            return JobRequirements(
                priority: file.priority, after: file.after, modelJobs: file.modelJobs, mayUseGPU: file.device != .cpu)
        } catch {
            throw JobRejection(error.description)
        }
    }
}
