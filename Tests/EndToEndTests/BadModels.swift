import CharnnEngine
import CharnnModel
import CharnnStorage
import Foundation
import SystemPackage
import Testing

/// Model files that lie, each in its own way, and a sound one.
enum BadModels {
    static func write(to folder: FilePath, _ storage: LocalStorage) throws {
        func put(_ name: String, header: String, length: UInt64? = nil, data: Int = 16) throws {
            let bytes = Array(header.utf8)
            let count = length ?? UInt64(bytes.count)
            let prefix = (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
            let path = folder.appending("\(name).safetensors")
            try storage.replace(path, with: prefix + bytes + [UInt8](repeating: 0, count: data), mode: 0o644)
        }
        try put("header", header: "", length: .max)
        try put("beyond", header: #"{"fc.bias":{"dtype":"F32","shape":[4],"data_offsets":[0,4611686018427387904]}}"#)
        try put(
            "overflow",
            header: #"{"fc.bias":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}"#)
        try put(
            "none-at-all",
            header: #"{"__metadata__":{"vocabulary":"[10]"},"#
                + #""embedding.weight":{"dtype":"F32","shape":[1,4],"data_offsets":[0,16]},"#
                + #""rnn.weight_hh_l0":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}"#)
        try put(
            "overlap",
            header: #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"#
                + #""b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#)
        try put("nested", header: String(repeating: #"{"a":"#, count: 200_000))
        try writeSparse(folder.appending("sparse.safetensors"))

        let architecture = Architecture(
            cell: .gru, vocabularySize: 3, embeddingSize: 2, hiddenSize: 2, layerCount: 1, dropout: 0)
        let parameters = Initialisation.parameters(of: architecture, seed: 1)
        let model = Model(
            architecture: architecture, vocabulary: Vocabulary(codePoints: [10, 97, 98])!, encoding: .utf8,
            parameters: parameters)
        try model.write(to: folder.appending("sound.safetensors"), in: storage)
        var metadata = model.metadata
        for (name, vocabulary) in [("vocabulary", "[10,97]"), ("twice", "[10,97,97]")] {
            metadata["vocabulary"] = vocabulary
            try SafeTensors.write(
                Model.sources(of: parameters, architecture: architecture), metadata: metadata,
                to: folder.appending("\(name).safetensors"), in: storage)
        }
        var broken = model
        broken.parameters[3] = .nan
        try broken.write(to: folder.appending("nan.safetensors"), in: storage)
    }

    /// A model of a terabyte of holes, every size of which is in order.
    private static func writeSparse(_ path: FilePath) throws {
        let (hidden, vocabulary) = (1 << 18, 2)
        var (entries, offset) = ([#""__metadata__":{"vocabulary":"[10,97]"}"#], 0)
        let shapes: [(String, [Int])] = [
            ("embedding.weight", [vocabulary, hidden]), ("rnn.weight_ih_l0", [4 * hidden, hidden]),
            ("rnn.weight_hh_l0", [4 * hidden, hidden]), ("rnn.bias_ih_l0", [4 * hidden]),
            ("rnn.bias_hh_l0", [4 * hidden]), ("fc.weight", [vocabulary, hidden]), ("fc.bias", [vocabulary]),
        ]
        for (name, shape) in shapes {
            let end = offset + shape.reduce(4, *)
            entries.append(#""\#(name)":{"dtype":"F32","shape":\#(shape),"data_offsets":[\#(offset),\#(end)]}"#)
            offset = end
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        let prefix = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        try Data(prefix + header).write(to: URL(fileURLWithPath: path.string))
        #expect(truncate(path.string, 8 + header.count + offset) == 0)
    }
}
