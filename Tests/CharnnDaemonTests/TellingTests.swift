import CharnnJobs
import CharnnSpool
import Foundation
import Testing

@testable import CharnnDaemon

struct EventKindTests {
    static var all: [EventKind] { EventKind.daemon + WorkerEvent.Kind.allCases.map(EventKind.worker) }

    @Test func `every kind has an identifier of its own`() {
        #expect(Set(Self.all.map(\.messageID)).count == Self.all.count)
        #expect(Set(Self.all.map(\.name)).count == Self.all.count)
        #expect(Self.all.allSatisfy { $0.messageID.count == 32 && $0.messageID.allSatisfy(\.isHexDigit) })
    }

    @Test func `the catalog explains every kind and nothing else`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let catalog = root.deletingLastPathComponent().appending(path: "systemd/charnnd.catalog")
        let text = try String(contentsOf: catalog, encoding: .utf8)
        let explained = text.split(separator: "\n").filter { $0.hasPrefix("-- ") }.map { String($0.dropFirst(3)) }
        #expect(explained.sorted() == Self.all.map(\.messageID).sorted())
    }

    @Test func `what the catalog and the units refer to is installed with them`() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let root = tests.deletingLastPathComponent()
        let files = ["charnnd.catalog", "charnnd.service", "charnnd-user.service", "charnnd-idle.service"]
        var references: Set<String> = []
        for file in files {
            let text = try String(contentsOf: root.appending(path: "systemd/\(file)"), encoding: .utf8)
            for line in text.split(separator: "\n") where line.hasPrefix("Documentation") {
                references.formUnion(line.dropFirst("Documentation".count + 1).split(separator: " ").map(String.init))
            }
        }
        #expect(references.contains("man:charnnd(8)"))
        for reference in references {
            if let page = reference.wholeMatch(of: #/man:(.+)\((\d)\)/#)?.output {
                let path = root.appending(path: "man/\(page.1).\(page.2)").path
                #expect(FileManager.default.fileExists(atPath: path), "\(reference)")
            } else {
                // systemd/place-files puts the documents there.
                let name = reference.replacing("file:///usr/local/share/doc/charnnd/", with: "")
                #expect(FileManager.default.fileExists(atPath: root.appending(path: name).path), "\(reference)")
            }
        }
    }
}

struct JournalLogHandlerTests {
    @Test(arguments: [("step", "CHARNND_STEP"), ("VAL_LOSS", "CHARNND_VAL_LOSS"), ("a.b-ç", "CHARNND_A_B__")])
    func `a key becomes a field that the journal accepts`(key: String, field: String) {
        #expect(JournalLogHandler.fieldName(key) == field)
    }
}

struct FloodGateTests {
    @Test func `what is too much in ten seconds is counted, and then told as a sum`() {
        var gate = FloodGate()
        let passed = (0..<50).filter { _ in gate.passes(.rejected, at: 0) }.count
        #expect(passed == FloodGate.allowance)
        let others = gate.passes(.accepted, at: 1)
        #expect(others)
        let early = gate.takeSums(at: 9)
        #expect(early.isEmpty)
        let sums = gate.takeSums(at: 12)
        #expect(sums.map(\.count) == [50 - FloodGate.allowance])
        let later = gate.passes(.rejected, at: 13)
        #expect(later)
        let none = gate.takeSums(at: 30)
        #expect(none.isEmpty)
        #expect(!gate.isCounting)
    }
}

struct StatusLineTests {
    @Test func `it tells job, step, loss, time left and what waits`() {
        var status = JobStatus(job: "kjv", state: .active)
        status.phase = "training"
        status.step = 120
        status.totalSteps = 4000
        status.trainLoss = 1.9204
        status.secondsLeft = 8010
        #expect(
            StatusLine.text(running: [("kjv", status)], counts: (7, 1, 0))
                == "kjv: training, step 120/4000 (3 %), loss 1.920, 2 h 13 min left; 7 queued, 1 held, 0 failed")
        #expect(
            StatusLine.text(running: [("own", StatusLine.closed("own"))], counts: (0, 0, 0))
                == "own: running; 0 queued, 0 held, 0 failed")
        #expect(StatusLine.text(running: [], counts: (0, 0, 2)) == "Idle; 0 queued, 0 held, 2 failed")
    }
}
