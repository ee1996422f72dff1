import CharnnSpool
import CharnnTexts
import CharnnTraining
import CharnnWords

extension JobRecord {
    /// Training and validation loss in bits per character.
    public var lossChart: Chart {
        var chart = Chart(
            "Loss", x: "step", y: "bits per character",
            series: [
                Chart.Series(
                    "training", style: 0,
                    points: rows.compactMap { row in row.trainLoss.map { (Double(row.step), bits($0)) } }),
                Chart.Series(
                    "validation", style: 1, points: points(\.validationLoss), isMarked: true, isByBest: true),
                Chart.Series(
                    "validation of the average", style: 2, points: points(\.averageValidationLoss), isMarked: true,
                    isByBest: true),
            ])
        if let level = comparison?.ngramBitsPerCharacter, let order = comparison?.ngramOrder {
            chart.levels = [("\(order)-character n-grams", level)]
        }
        return chart
    }

    /// Over the steps, in bits per character; of an evaluation the better of what it measured.
    var validationPoints: [(x: Double, y: Double)] { points(\.betterValidationLoss) }

    private func points(_ loss: (MetricsRow) -> Double?) -> [(x: Double, y: Double)] {
        rows.compactMap { row in loss(row).map { (Double(row.step), bits($0)) } }
    }

    /// With its peaks: the end of a warm-up is what one looks for.
    var rateChart: Chart {
        var chart = Chart(
            "Learning rate", x: "step", y: "",
            series: [Chart.Series("rate", style: 0, points: rows.map { (Double($0.step), $0.learningRate) })])
        chart.beginsAtZero = true
        chart.showsPeaks = true
        chart.digits = 4
        return chart
    }

    /// Without its peaks: single steps before clipping may be anywhere, and are marked at the top.
    var normChart: Chart {
        var chart = Chart(
            "Gradient norm", x: "step", y: "before clipping",
            series: [
                Chart.Series(
                    "norm", style: 0,
                    points: rows.compactMap { row in row.gradientNorm.map { (Double(row.step), $0) } })
            ])
        chart.beginsAtZero = true
        return chart
    }

    /// From zero, so that one percent less does not look like a collapse.
    var speedChart: Chart {
        var chart = Chart(
            "Speed", x: "step", y: "characters a second",
            series: [
                Chart.Series(
                    "speed", style: 0,
                    points: rows.compactMap { row in row.charactersPerSecond.map { (Double(row.step), $0) } })
            ])
        chart.beginsAtZero = true
        chart.showsPeaks = true
        chart.digits = 0
        return chart
    }
}
