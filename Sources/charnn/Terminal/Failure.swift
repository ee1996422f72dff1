import ArgumentParser
import CharnnJobs
import CharnnModel
import CharnnSpool
import CharnnStorage
import Glibc

/// An error for a person at a terminal: one sentence on standard error, and an exit status of `sysexits.h`.
///
/// Commands throw it where they know best what to say; all other errors are given a status here, and keep their words.
/// The numbers are those of sysexits.h: 64 usage, 65 data, 66 not there, 69 something needed is missing, 71 the system,
/// 73 cannot be made, 74 disk, 75 later, 77 rights.
struct Failure: Error {
    /// Without "charnn: " and without a full stop.
    var message: String
    var status: Int32

    /// - Parameter message: What, where, and how to mend it; of several mistakes a line each.
    init(_ message: String, status: Int32) {
        self.message = message
        self.status = status
    }

    /// Sorts what can go wrong below.
    init(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case let error as SpoolClientError:
            switch error.code {
            case .notFound: self.init(error.description, status: EX_NOINPUT)
            case .denied: self.init(error.description, status: EX_NOPERM)
            case .wrongState, .badName: self.init(error.description, status: EX_USAGE)
            case .storage: self.init(error.description, status: EX_IOERR)
            }
        case let error as StorageError:
            let remedy = error.remedy.map { "; \($0)" } ?? ""
            self.init("\(error)\(remedy)", status: error.code == .denied ? EX_NOPERM : EX_IOERR)
        case let error as JobFileError: self.init(error.description, status: EX_DATAERR)
        default:
            let error = JobError(error)
            // As a worker sorts it: 65, 66, 75, 78 and 85 mean the same here and there.
            self.init(error.description, status: error.exit == .done ? 1 : error.exit.rawValue)
        }
    }

    // sysexits.h is all macros, which Swift does not import.
    static let usage: Int32 = 64
}

private let (EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_IOERR, EX_NOPERM) =
    (64 as Int32, 65 as Int32, 66 as Int32, 74 as Int32, 77 as Int32)

/// Runs a command's work and ends the program with a message and a status if it fails.
///
/// An ``ExitCode`` that the work throws is passed on: it has said what there was to say.
func reporting(_ work: () throws -> Void) throws {
    do {
        try work()
    } catch let exit as ExitCode {
        throw exit
    } catch {
        let failure = Failure(error)
        Terminal.error("charnn: \(failure.message)")
        throw ExitCode(failure.status)
    }
}
