import CharnnJobs
import Glibc
import SystemPackage

extension JobFile {
    /// This job with its texts where a person's own command looks for them: beside the job file, else as the file says.
    /// Links are followed, for they are the person's own.
    func locatingTexts(beside folder: FilePath) -> JobFile {
        func located(_ text: String) -> String {
            let here = folder.pushing(FilePath(text)).lexicallyNormalized()
            if access(here.string, F_OK) == 0 { return here.real.string }
            return FilePath(text).isAbsolute ? FilePath(text).real.string : text
        }
        var job = self
        job.train?.corpus = train?.corpus.map(located) ?? []
        job.evaluate?.corpus = evaluate?.corpus.map(located) ?? []
        return job
    }
}
