"""A character model as another person would write it, to be imported.

    classes.py CELL STATE_DICT VOCABULARY     saves a state dict and its vocabulary; prints what it writes after "a bad "
"""

import json
import sys

import torch
from safetensors.torch import save_file


class Net(torch.nn.Module):
    """Embedding and hidden size agree, and the head has its own name, so that names and order must not matter."""

    def __init__(self, cell, symbols, units):
        super().__init__()
        self.aa_out = torch.nn.Linear(units, symbols)
        self.core = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](units, units, num_layers=3)
        self.lookup = torch.nn.Embedding(symbols, units)


def main():
    cell, state_dict, vocabulary = sys.argv[1:]
    torch.manual_seed(3)
    letters = sorted(" abcdefgh\n")
    net = Net(cell, len(letters), 12)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2.5)
    save_file(net.state_dict(), state_dict)
    with open(vocabulary, "w") as file:
        json.dump({letter: index for index, letter in enumerate(letters)}, file)

    text, state = "a bad ", None
    symbols = torch.tensor([letters.index(c) for c in text])
    for _ in range(60):
        out, state = net.core(net.lookup(symbols).unsqueeze(1), state)
        symbols = net.aa_out(out)[-1].argmax(dim=-1)
        text += letters[int(symbols)]
    print(text)


main()
