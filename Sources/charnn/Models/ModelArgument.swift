public import ArgumentParser
import CharnnCorpus
import CharnnEngine
import CharnnJobs
public import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// A model that a person names: a file, an output folder, a job of the spool, or a run outside the queue.
///
/// Looked for in that order, the nearest first: a path that is there is what its owner sees before them.
struct ModelArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp("A job's or run's name, its output folder, or a model file.", valueName: "model"),
        completion: .custom { words, _, _ in JobNames.withModels(words) })
    var model: String

    @OptionGroup var spool: SpoolOptions

    /// - Throws: ``Failure`` that lists the models there are; ``ModelError`` where the file is none.
    func load(_ storage: any Storage) throws -> Model { try Model(reading: path(storage), in: storage) }

    /// Where the model's file lies.
    ///
    /// - Throws: ``Failure`` that lists the models there are.
    func path(_ storage: any Storage) throws -> FilePath { try path(of: model, storage) }

    /// The same of another model that a person names.
    func path(of model: String, _ storage: any Storage) throws -> FilePath {
        // Somebody takes the job's file for the job; without this the message would be that it is no model.
        if let file = FilePath(model).lastComponent.flatMap({ JobFileName($0.string) }) {
            throw Failure("\(model) is a job file; say the job's name, \(file.name.text)", status: 66)
        }
        let candidates = [FilePath(model), FilePath(model).appending(.model)]
        for path in candidates {
            if try storage.status(of: path.absolute.real)?.kind == .regular {
                return path.absolute.real
            }
        }
        let layout = try spool.layout
        let named = try SpoolClient(layout, storage: storage).named(model)
        // A folder in jobs/ need not be a job's: somebody may have put it there.
        let folder = named?.folder(in: layout) ?? (FilePath.Component(model) == nil ? nil : layout.folder(of: model))
        guard let path = folder?.appending(.model), try storage.status(of: path) != nil else {
            let names = JobNames.withModels(in: layout)
            let others = names.count > 10 ? names.prefix(10) + ["\(names.count - 10) more"] : names
            throw Failure(
                "\(model): there is no such model file, and no job or run of that name has a model in \(layout.root)"
                    + (names.isEmpty ? "; `charnn demo` makes one" : "; there are \(others.joined(separator: ", "))"),
                status: 66)
        }
        return path
    }
}

/// Models that are one with the first: their probabilities are averaged.
struct ModelsArgument: ParsableArguments {
    @OptionGroup var first: ModelArgument

    @Option(
        name: .customLong("with"),
        help: ArgumentHelp(
            "A model whose probabilities are averaged with the first one's. May be given several times.",
            valueName: "model"), completion: .custom { words, _, _ in JobNames.withModels(words) })
    var others: [String] = []

    /// What they are called by, in order.
    var names: [String] { [first.model] + others }

    /// A model, what it is called by, and where its file lies.
    struct Found {
        let name: String
        let path: FilePath
        let model: Model

        /// What adapting needs of the model.
        ///
        /// - Throws: ``JobError`` where there is nothing of this model, and how to make it.
        func statistics(_ storage: any Storage) throws -> GradientStatistics {
            try GradientStatistics(
                reading: path.removingLastComponent().appending(.statistics), of: model,
                sha256: try storage.sha256(ofFile: path), name: name, in: storage)
        }
    }

    /// - Throws: ``Failure`` that lists the models there are; ``ModelError`` where a file is none.
    func load(_ storage: any Storage) throws -> [Found] {
        try names.map { name in
            let path = try first.path(of: name, storage)
            return Found(name: name, path: path, model: try Model(reading: path, in: storage))
        }
    }
}

extension AdaptMode: ExpressibleByArgument {}
extension UnknownPolicy: ExpressibleByArgument {}
extension TextEncoding: ExpressibleByArgument {}
