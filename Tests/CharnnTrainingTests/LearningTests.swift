import CharnnEngine
import CharnnTraining
import Testing

@Suite struct LearningTests {
    /// The words of the text come in an order that takes memory; one who only knows the letter before does far worse.
    @Test(arguments: Cell.allCases) func `every cell learns the text`(cell: Cell) throws {
        var run = Run()
        (run.cell, run.dropout) = (cell, 0)
        (run.settings.epochs, run.settings.schedule, run.settings.warmupSteps) = (25, .cosine, 20)
        let loss = try #require(try run.run().recorder.rows.last?.validationLoss)
        #expect(loss < 0.35)
    }
}
