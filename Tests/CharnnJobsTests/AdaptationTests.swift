import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTraining
import Foundation
import SystemPackage
import Testing

@testable import CharnnJobs

/// Jobs that learn from a text as they score it.
@Suite struct AdaptationTests {
    private let fixture: JobFixture

    init() throws { fixture = try .withModel() }

    private func job(_ keys: String, model: String = "m") -> String {
        "evaluate:\n  model: \(model)\n  corpus: other.txt\n" + keys
    }

    private struct Found: Decodable, Equatable {
        var natsPerCharacter: Double
        var natsPerCharacterAdapted: Double?
        var adapt: String?
        var adaptRate: Double?
    }

    private func found(_ name: String) throws -> Found { try fixture.evaluation(of: name) }

    @Test func `what is learned on the way makes the score better and leaves the model as it was`() throws {
        let before = try fixture.bytes(fixture.output("m").model)
        #expect(try fixture.run("a", job("")) == .done)
        #expect(try fixture.run("b", job("  adapt: dynamic\n  adapt_rate: 0.002\n")) == .done)
        let (still, learning) = (try found("a"), try found("b"))
        #expect(still.natsPerCharacterAdapted == nil && still.adapt == nil)
        #expect(learning.natsPerCharacter == still.natsPerCharacter && learning.adaptRate == 0.002)
        #expect(try #require(learning.natsPerCharacterAdapted) < 0.9 * still.natsPerCharacter)
        #expect(try fixture.bytes(fixture.output("m").model) == before)
        #expect(fixture.events.contains { $0.message.contains("Learning from the text as it goes") })
        // Nothing of it is left but the score.
        #expect(try !fixture.storage.list(fixture.output("b").path).contains(JobFolderFile.partialAdaptation.rawValue))
    }

    @Test func `one that is stopped goes on to the same score`() throws {
        let keys = "  adapt: dynamic\n  adapt_rate: 0.002\n"
        #expect(try fixture.run("whole", job(keys)) == .done)
        // What was kept is gone on from, or no attempt would get to the end.
        let exits = try fixture.run("parts", job(keys), stoppingAfter: 250)
        #expect(exits.count > 2 && exits.last == .done, "\(exits)")
        #expect(try found("parts") == found("whole"))
    }

    @Test func `the rate is chosen by the first half and told of the second`() throws {
        #expect(try fixture.run("t", job("  adapt: tune\n  adapt_rate: 0.0005\n")) == .done)
        let tuned = try found("t")
        let rate = try #require(tuned.adaptRate)
        #expect([0.25, 0.5, 1, 2, 4].contains { abs($0 * 0.0005 - rate) < 1e-12 } && tuned.adapt == "tune")
        #expect(rate > 0.0005)
        #expect(fixture.events.contains { $0.message.contains("the second half of the text as it goes") })
    }

    @Test func `without statistics of the very model it is told how to make them`() throws {
        let file = fixture.output("m").statistics
        let bytes = try fixture.bytes(file)
        func refused(_ name: String) throws {
            #expect(try fixture.run(name, job("  adapt: dynamic\n")) == .noInput)
            let reason = try #require(fixture.output(name).status()?.reason)
            #expect(reason.contains("`charnn adapt-statistics m TEXT`"), "\(reason)")
        }
        try fixture.storage.remove(file)
        try refused("none")
        try fixture.storage.replace(file, with: Array(bytes.dropLast(9)))
        try refused("torn")
        // Those of another model.
        #expect(try fixture.run("n", "seed: 2\n" + JobFixture.training) == .done)
        try fixture.storage.replace(file, with: try fixture.bytes(fixture.output("n").statistics))
        try refused("other")
        try fixture.storage.replace(file, with: bytes)
        #expect(try fixture.run("right", job("  adapt: dynamic\n")) == .done)
    }

    @Test func `statistics follow the model that trains further, and are not measured twice`() throws {
        let first = try fixture.bytes(fixture.output("m").statistics)
        let before = try #require(try fixture.storage.status(of: fixture.output("m").statistics)).inode
        #expect(try fixture.run("m", JobFixture.training) == .done)
        #expect(try fixture.storage.status(of: fixture.output("m").statistics)?.inode == before)
        #expect(try fixture.run("m", JobFixture.training.replacing("epochs: 3", with: "epochs: 4")) == .done)
        #expect(try fixture.bytes(fixture.output("m").statistics) != first)
        #expect(try fixture.run("a", job("  adapt: dynamic\n")) == .done)
    }
}
