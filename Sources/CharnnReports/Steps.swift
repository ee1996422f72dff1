public import CharnnSpool
import CharnnWords

/// The rest of a sentence that begins with the steps a job has done: `of 2,340, 17 %`, `of 2,340, stopped early`.
///
/// A job whose file was changed to ask for fewer steps than it had done has more than asked for.
///
/// - Parameters:
///   - total: As the job file asks for now.
///   - step: Steps done.
public func stepsOf(_ total: Int, _ step: Int, _ state: JobState) -> String {
    if step > total { return "though its file asks for \(grouped(total)) now" }
    if state == .done { return "of \(grouped(total))" + (step < total ? ", stopped early" : "") }
    return "of \(grouped(total)), \(percent(step, of: total))"
}
