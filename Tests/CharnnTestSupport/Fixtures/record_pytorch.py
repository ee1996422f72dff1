"""Records training runs of PyTorch that the engines have to repeat.

    python3 -m venv .venv && .venv/bin/pip install torch numpy
    .venv/bin/python record_pytorch.py

Writes pytorch.json beside this file: for each cell its first parameters, and for each of its runs the batches, losses,
gradient norms and last parameters; of Adam's on streams also the average of the parameters. Floats are base64 of little-endian fp32, in the order of ParameterLayout.
"""

import base64
import json
import pathlib

import numpy as np
import torch

V, E, H, L, B, T, STEPS = 17, 10, 12, 2, 4, 7, 50
TEXT = [int(x) for x in (np.cumsum(np.random.default_rng(1).integers(0, 5, 400)) + np.arange(400) // 3) % V]

CELLS = {
    "rnn-tanh": lambda: torch.nn.RNN(E, H, L, nonlinearity="tanh"),
    "rnn-relu": lambda: torch.nn.RNN(E, H, L, nonlinearity="relu"),
    "gru": lambda: torch.nn.GRU(E, H, L),
    "lstm": lambda: torch.nn.LSTM(E, H, L),
}
RULES = {
    "adam": dict(learningRate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8, momentum=0, weightDecay=0),
    "adamw": dict(learningRate=0.01, beta1=0.8, beta2=0.99, epsilon=1e-8, momentum=0, weightDecay=0.1),
    "rmsprop": dict(learningRate=0.002, beta1=0, beta2=0.95, epsilon=1e-8, momentum=0.5, weightDecay=0),
    "sgd": dict(learningRate=0.3, beta1=0, beta2=0, epsilon=0, momentum=0.8, weightDecay=0.001),
}
CLIP = 0.2
AVERAGE, EVERY = 0.8, 8


class Model(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, E)
        self.rnn = CELLS[cell]()
        self.fc = torch.nn.Linear(H, V)

    def flat(self):
        return torch.cat([p.detach().reshape(-1) for p in self.parameters()]).numpy().astype("<f4")


def optimizer(kind, parameters):
    r = RULES[kind]
    if kind == "adam":
        return torch.optim.Adam(parameters, r["learningRate"], (r["beta1"], r["beta2"]), r["epsilon"], r["weightDecay"])
    if kind == "adamw":
        return torch.optim.AdamW(parameters, r["learningRate"], (r["beta1"], r["beta2"]), r["epsilon"], r["weightDecay"])
    if kind == "rmsprop":
        return torch.optim.RMSprop(parameters, r["learningRate"], r["beta2"], r["epsilon"], momentum=r["momentum"])
    return torch.optim.SGD(parameters, r["learningRate"], r["momentum"], weight_decay=r["weightDecay"])


def batches(batching):
    if batching == "windows":
        random = np.random.default_rng(7)
        return [([int(x) for x in random.integers(0, len(TEXT) - T - 1, B)], True) for _ in range(STEPS)]
    stream = (len(TEXT) - 1) // B
    steps = stream // T
    return [([b * stream + n % steps * T for b in range(B)], n % steps == 0) for n in range(STEPS)]


def encode(floats):
    return base64.b64encode(floats.tobytes()).decode()


def averaged(model):
    # Its first update is a copy; the n-th after it is of the step (n + 1) * EVERY.
    def move(average, parameter, n):
        t = (int(n) + 1) * EVERY
        return average + (1 - min(AVERAGE, (1 + t) / (10 + t)) ** EVERY) * (parameter - average)

    return torch.optim.swa_utils.AveragedModel(model, avg_fn=move)


def run(cell, kind, batching, first):
    model = Model(cell)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(first.copy()), model.parameters())
    average = averaged(model)
    rule = optimizer(kind, model.parameters())
    text = torch.tensor(TEXT)
    state, losses, norms, starts = None, [], [], []
    for begin, resets in batches(batching):
        window = torch.stack([text[b : b + T + 1] for b in begin], dim=1)
        if resets:
            state = None
        hidden, state = model.rnn(model.embedding(window[:-1]), state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = torch.nn.functional.cross_entropy(model.fc(hidden).reshape(-1, V), window[1:].reshape(-1))
        rule.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        losses.append(loss.item())
        rule.step()
        starts.append({"starts": begin, "resetsState": resets})
        if len(losses) % EVERY == 0:
            average.update_parameters(model)
    clipped = sum(n > CLIP for n in norms)
    print(f"{cell} {kind} {batching}: {losses[0]:.4f} -> {losses[-1]:.4f}, {clipped} of {STEPS} steps clipped")
    assert clipped > 5
    recorded = {
        "optimizer": kind, "batching": batching, "rule": RULES[kind], "batches": starts, "losses": losses,
        "norms": norms, "last": encode(model.flat()),
    }
    if kind == "adam" and batching == "stream":
        recorded["average"] = encode(average.module.flat())
    return recorded


# Dynamic evaluation, as in Krause et al. (2018), "RMS with global decay and parameter-wise decay rates".
DYNAMIC = dict(rate=2e-3, decay=2e-2, segment=7, epsilon=0.1)


def dynamic(cell, first):
    model = Model(cell)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(first.copy()), model.parameters())
    parameters = list(model.parameters())
    text = torch.tensor(TEXT)

    def loss(window, state):
        hidden, state = model.rnn(model.embedding(window[:-1]), state)
        model.zero_grad()
        result = torch.nn.functional.cross_entropy(model.fc(hidden).reshape(-1, V), window[1:].reshape(-1))
        result.backward()
        return result.item(), tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()

    squares = [torch.zeros_like(p) for p in parameters]
    starts = [[int(x) for x in np.random.default_rng(n).integers(0, 200, B)] for n in range(5)]
    for begin in starts:
        loss(torch.stack([text[b : b + T + 1] for b in begin], dim=1), None)
        for s, p in zip(squares, parameters):
            s += p.grad**2 / len(starts)
    roots = [s.sqrt() for s in squares]
    mean = torch.cat([r.reshape(-1) for r in roots]).mean()
    anchors, state, losses = [p.detach().clone() for p in parameters], None, []
    for begin in range(200, 396, DYNAMIC["segment"]):
        length = min(DYNAMIC["segment"], 396 - begin)
        nats, state = loss(text[begin : begin + length + 1, None], state)
        losses.append(nats)
        with torch.no_grad():
            for p, a, r in zip(parameters, anchors, roots):
                p -= DYNAMIC["rate"] * p.grad / (r + DYNAMIC["epsilon"] * mean)
                p += (DYNAMIC["decay"] * r / mean).clamp(max=1) * (a - p)
    flat = torch.cat([s.reshape(-1) for s in squares]).numpy().astype("<f4")
    print(f"{cell} dynamic: {losses[0]:.4f} -> {losses[-1]:.4f}")
    return {"starts": starts, "meanSquares": encode(flat), "losses": losses, "last": encode(model.flat()), **DYNAMIC}


torch.manual_seed(11)
torch.set_num_threads(1)
cells = []
for cell in CELLS:
    first = Model(cell).flat()
    runs = [run(cell, kind, batching, first) for kind in RULES for batching in ("stream", "windows")]
    cells.append({"cell": cell, "first": encode(first), "runs": runs})
for recorded in cells:
    first = np.frombuffer(base64.b64decode(recorded["first"]), "<f4")
    recorded["dynamic"] = dynamic(recorded["cell"], first)
recorded = {
    "torch": torch.__version__, "vocabularySize": V, "embeddingSize": E, "hiddenSize": H, "layerCount": L,
    "sequenceLength": T, "clipNorm": CLIP, "weightAverage": AVERAGE, "text": TEXT, "cells": cells,
}
path = pathlib.Path(__file__).with_name("pytorch.json")
path.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
print(path.stat().st_size, "bytes")
