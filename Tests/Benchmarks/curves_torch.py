#!/usr/bin/env python3
"""Trains the learning curve's network in PyTorch, on the batches that charnnd makes of the same text.

    curves_torch.py TEXT [--cell lstm] [--epochs 25] [--seed 1] [--threads 2]

Prints the validation loss after each epoch, nats a character; the last line is the best one. curves runs this
beside `charnn run` with the same settings: hidden 256, 2 layers, embedding 256, dropout 0.2, Adam with lr 0.002 falling
by a cosine, batches of 64 streams of 100 characters, the gradient's norm clipped at 5, the last tenth for validation.
"""

import argparse
import math
import pathlib
import time

import torch

B, T, H, LAYERS, DROPOUT, LR, CLIP = 64, 100, 256, 2, 0.2, 0.002, 5.0


class CharModel(torch.nn.Module):
    def __init__(self, cell, vocabulary_size):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary_size, H)
        kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
        self.rnn = kind(H, H, LAYERS, dropout=DROPOUT, batch_first=True)
        self.fc = torch.nn.Linear(H, vocabulary_size)

    def forward(self, x, state=None):
        out, state = self.rnn(self.embedding(x), state)
        return self.fc(out), state


def offset(epoch, extent):
    """How far into its streams an epoch begins (BatchPlan.offset)."""
    offsets = extent % T + 1
    stride = max(1, math.floor(offsets * 0.61803398875 + 0.5))
    while math.gcd(stride, offsets) != 1:
        stride += 1
    return epoch % offsets * stride % offsets


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def score(model, text):
    """Every character of the text but the first, predicted once, serially from a zero state."""
    model.eval()
    nats, state = 0.0, None
    with torch.no_grad():
        for start in range(0, len(text) - 1, 4096):
            piece = text[start:start + 4097]
            out, state = model(piece[None, :-1], state)
            nats += torch.nn.functional.cross_entropy(out[0], piece[1:], reduction="sum").item()
    model.train()
    return nats / (len(text) - 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--cell", choices=["rnn", "gru", "lstm"], default="lstm")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    text = pathlib.Path(options.text).read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    vocabulary = {c: i for i, c in enumerate(sorted(set(text)))}
    symbols = torch.tensor([vocabulary[c] for c in text])
    tail = len(text) // 10
    training, validation = symbols[:len(text) - tail], symbols[len(text) - tail:]
    extent = (len(training) - 1) // B
    steps = extent // T
    total = steps * options.epochs
    print(f"{len(training)} characters to train on, {len(validation)} for validation, {len(vocabulary)} different; "
          f"{steps} steps an epoch; torch {torch.__version__}", flush=True)

    model = CharModel(options.cell, len(vocabulary)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    firsts = torch.arange(B) * extent
    best, number, start = math.inf, 0, time.monotonic()
    for epoch in range(options.epochs):
        state, position, sum_of_losses = None, offset(epoch, extent), 0.0
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LR * (1 + math.cos(math.pi * number / total)) / 2
            number += 1
            places = (firsts + position + step * T)[:, None] + torch.arange(T + 1)
            batch = training[places]
            out, state = model(batch[:, :-1], state)
            state = detached(state)
            loss = torch.nn.functional.cross_entropy(out.reshape(B * T, -1), batch[:, 1:].reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            sum_of_losses += loss.item()
        validated = score(model, validation)
        best = min(best, validated)
        print(f"epoch {epoch + 1}: train {sum_of_losses / steps:.4f}  validation {validated:.4f}  "
              f"{time.monotonic() - start:.0f} s", flush=True)
    print(f"best validation loss {best:.4f}")


main()
