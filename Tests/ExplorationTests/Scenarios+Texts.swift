import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage

/// Texts that are waited for, and those that jobs write.
extension Scenario {
    static let texts: [Scenario] = [
        Scenario(
            name: "texts that are waited for", textGrace: 600,
            prepare: { night in
                accepted("texts: late.txt", "texts: open.txt", "texts: older.txt")(night)
                let actTime = night.time.clock.wall() + 3600
                night.disk.change { image in
                    // Whether somebody writes to a text cannot be told, and one was written to just now.
                    image.tellsWriters = false
                    image.time = actTime
                    image.put(Night.layout.corpora.appending("open.txt"), Array("cat\n".utf8))
                    // A ticket of a version that did not wait for texts.
                    let status = Night.layout.status(of: "c")
                    let bytes = image.files["\(status)"] ?? []
                    guard var older = try? JSONDecoder().decode(JobStatus.self, from: Data(bytes)) else { return }
                    older.ticket?.texts = nil
                    image.put(status, older.encoded)
                }
            }
        ).acting { night in
            night.turn()
            _ = try? night.client.why("a")
            // Each of them waits, and that is recorded.
            night.runNext()
            night.turn()
            let texts = ["late.txt", "older.txt"].map { Night.layout.corpora.appending($0) }
            night.disk.change { image in for text in texts { image.put(text, Array("dog\n".utf8)) } }
            for text in texts { night.keeper?.textArrived(text) }
            night.turn()
            night.runNext()
            night.time.pass(40)
            night.turn()
            night.runAll()
        },
        Scenario(
            name: "more texts than a record lists",
            prepare: { night in
                accepted("steps: 1")(night)
                let generated = JobFolder(night.layout.folder(of: "a"), in: night.disk).generated
                try? night.disk.createDirectory(generated, mode: 0o750)
                night.disk.change { image in
                    for number in 1...JobStatus.mostResults { image.put(generated.appending("\(number).txt"), [10]) }
                }
            }
        ).acting { night in
            night.turn()
            night.runNext()
            night.settle()
            _ = try? ResultCheck(night.layout, storage: night.disk)
        },
    ]
}
