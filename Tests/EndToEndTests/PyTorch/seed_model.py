"""The PyTorch class that model files are made for, and what the tests ask of it.

    python3 -m venv .venv && .venv/bin/pip install torch numpy safetensors
    export CHARNND_PYTHON=.venv/bin/python     # then `swift test` runs the tests that need it

    seed_model.py logits MODEL PROMPT      loads a model strictly; prints JSON, the logits after each character
    seed_model.py make CELL MODEL          saves a new model of that class with a vocabulary; prints its logits
    seed_model.py record                   writes the files in Fixtures/ that every test run reads
"""

import json
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

LETTERS = sorted("\n '-.,abcdefghéŒ😀")
PROMPT = "a bad😀 éœ face, ".replace("œ", "Œ")


class CharModel(torch.nn.Module):
    def __init__(self, cell, vocabulary_size, embedding_size, hidden_size, num_layers, dropout=0.5, nonlinearity="tanh"):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary_size, embedding_size)
        sizes = dict(num_layers=num_layers, dropout=dropout if num_layers > 1 else 0, batch_first=True)
        self.rnn = {
            "rnn": lambda: torch.nn.RNN(embedding_size, hidden_size, nonlinearity=nonlinearity, **sizes),
            "gru": lambda: torch.nn.GRU(embedding_size, hidden_size, **sizes),
            "lstm": lambda: torch.nn.LSTM(embedding_size, hidden_size, **sizes),
        }[cell]()
        self.fc = torch.nn.Linear(hidden_size, vocabulary_size)

    def forward(self, x, state=None):
        out, state = self.rnn(self.embedding(x), state)
        return self.fc(out), state


def load(path):
    """The model of a file and its vocabulary, by what its metadata says."""
    with safe_open(path, "pt") as file:
        told = file.metadata()
    vocabulary = json.loads(told["vocabulary"])
    model = CharModel(
        told["cell"], len(vocabulary), int(told["embedding_size"]), int(told["hidden_size"]), int(told["num_layers"]),
        float(told["dropout"]), told["nonlinearity"])
    model.load_state_dict(load_file(path))
    return model.eval(), vocabulary


def logits(model, vocabulary, prompt):
    with torch.no_grad():
        symbols = torch.tensor([[vocabulary.index(ord(c)) for c in prompt]])
        return [[round(x, 6) for x in row] for row in model(symbols)[0][0].tolist()]


def make(cell, path, layers=2):
    torch.manual_seed(len(cell))
    model = CharModel(cell, len(LETTERS), 6, 10, layers).eval()
    # Larger weights than a new network's, so that every gate matters.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    vocabulary = [ord(c) for c in LETTERS]
    save_file(model.state_dict(), path, metadata={"vocabulary": json.dumps(vocabulary)})
    return logits(model, vocabulary, PROMPT)


def main():
    command, *arguments = sys.argv[1:]
    if command == "logits":
        print(json.dumps(logits(*load(arguments[0]), arguments[1])))
    elif command == "make":
        print(json.dumps({"prompt": PROMPT, "logits": make(arguments[0], arguments[1])}))
    elif command == "record":
        folder = pathlib.Path(__file__).parent / "Fixtures"
        folder.mkdir(exist_ok=True)
        for cell, layers in [("rnn", 1), ("gru", 2), ("lstm", 3)]:
            recorded = {"prompt": PROMPT, "logits": make(cell, str(folder / f"{cell}.safetensors"), layers)}
            (folder / f"{cell}.json").write_text(json.dumps(recorded) + "\n")


main()
