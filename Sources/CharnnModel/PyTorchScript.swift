import CharnnEngine

extension Model {
    /// A Python program that writes text with this model: the class that its weights are named after, and a loop that
    /// samples. It expects `model.safetensors` beside it.
    ///
    /// - Throws: `ModelError` of the code `unwritable` if PyTorch has no such cell.
    public func pyTorchScript() throws(ModelError) -> String {
        guard let network = architecture.cell.pyTorchModule else {
            throw ModelError(
                .unwritable,
                "PyTorch has no module for the cell \(architecture.cell.rawValue), so that no program can be written "
                    + "for it")
        }
        return pyTorchScript(of: network)
    }

    private func pyTorchScript(of network: String) -> String {
        let kind = architecture.cell.hasNonlinearity ? ", nonlinearity=\"\(architecture.nonlinearity.rawValue)\"" : ""
        let sizes =
            "vocab_size=\(architecture.vocabularySize), embedding_size=\(architecture.embeddingSize), "
            + "hidden_size=\(architecture.hiddenSize), num_layers=\(architecture.layerCount)"
        let isText = encoding != .bytes
        let reading = isText ? "map(ord, prompt)" : "prompt.encode()"
        let writing = isText ? "chr(vocabulary[symbol]).encode()" : "bytes([vocabulary[symbol]])"
        return """
            #!/usr/bin/env python3
            \"""Writes text with the model beside this file.  pip install torch numpy safetensors

            usage: python3 generate.py [PROMPT [LENGTH [TEMPERATURE [SEED]]]]\"""
            import json, pathlib, sys
            import torch
            from safetensors import safe_open
            from safetensors.torch import load_file


            class CharModel(torch.nn.Module):
                def __init__(self, vocab_size, embedding_size, hidden_size, num_layers, dropout=0.0):
                    super().__init__()
                    self.embedding = torch.nn.Embedding(vocab_size, embedding_size)
                    self.rnn = torch.nn.\(network)(
                        embedding_size, hidden_size, num_layers, dropout=dropout, batch_first=True\(kind))
                    self.fc = torch.nn.Linear(hidden_size, vocab_size)

                def forward(self, x, state=None):
                    out, state = self.rnn(self.embedding(x), state)
                    return self.fc(out), state


            file = pathlib.Path(__file__).with_name("model.safetensors")
            with safe_open(file, "pt") as opened:
                vocabulary = json.loads(opened.metadata()["vocabulary"])  # code points in index order
            model = CharModel(\(sizes))
            model.load_state_dict(load_file(file))
            model.eval()

            prompt, length, temperature, seed = (sys.argv[1:] + ["\\n", "500", "0.8", "1"][len(sys.argv) - 1:])[:4]
            torch.manual_seed(int(seed))
            index = {code: i for i, code in enumerate(vocabulary)}
            symbols, state = torch.tensor([[index[code] for code in \(reading)]]), None
            sys.stdout.buffer.write(b"".join(\(writing) for symbol in symbols[0].tolist()))
            with torch.no_grad():
                for _ in range(int(length)):
                    logits, state = model(symbols, state)
                    odds = torch.softmax(logits[0, -1].double() / max(float(temperature), 1e-6), dim=0)
                    symbol = int(torch.multinomial(odds, 1)) if float(temperature) > 0 else int(logits[0, -1].argmax())
                    sys.stdout.buffer.write(\(writing))
                    symbols = torch.tensor([[symbol]])
            sys.stdout.buffer.write(b"\\n")

            """
    }
}
