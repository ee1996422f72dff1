"""Records training runs of PyTorch with dropout in all places, groups of parameters that decay, and a forget bias.

    python3 -m venv .venv && .venv/bin/pip install torch numpy
    .venv/bin/python record_regularisation.py

Writes regularisation.json beside this file, in the form of pytorch.json. The masks are those that DropoutMask in CharnnEngine
tells, computed here by an own Philox; what drops, decays or is raised is told by each case's `network`.
"""

import base64
import json
import pathlib

import numpy as np
import torch

# Nothing divides evenly: neither a mask's rows nor those of a step into blocks of the generator.
V, E, H, B, T, STEPS = 11, 5, 7, 9, 6, 12
SEED, CLIP = 0xFEDCBA9876543210, 0.5
TEXT = [int(x) for x in (np.cumsum(np.random.default_rng(3).integers(0, 4, 500)) + np.arange(500) // 3) % V]
RULE = dict(learningRate=0.01, beta1=0.8, beta2=0.99, epsilon=1e-8, momentum=0, weightDecay=0.3)
CELLS = {"rnn-tanh": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
PURPOSE, INPUT = 2, 0xFFFF
ALL = dict(dropoutInput=0.3, dropout=0.4, dropoutOutput=0.25)


def philox(index, step, counter):
    """The words of the Philox blocks that random numbers `index` of a mask stand in, and of each its own."""
    u64 = np.uint64
    low = u64(0xFFFFFFFF)
    c = [
        index // u64(4) & low, np.full_like(index, step & 0xFFFFFFFF),
        np.full_like(index, (step >> 32) << 16 | counter), np.full_like(index, PURPOSE),
    ]
    k0, k1 = SEED & 0xFFFFFFFF, SEED >> 32
    for _ in range(10):
        a, b = c[0] * u64(0xD2511F53), c[2] * u64(0xCD9E8D57)
        c = [(b >> u64(32)) ^ c[1] ^ u64(k0), b & low, (a >> u64(32)) ^ c[3] ^ u64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.choose((index % u64(4)).astype(int), c)


def mask(step, counter, probability, width, locked):
    """[T, B, width]: 0 or 1 / (1 - probability); locked: one of [B, width] at all times."""
    numbers = B * width * (1 if locked else T)
    words = philox(np.arange(numbers, dtype=np.uint64), step, counter)
    kept = (words >= int(probability * 2**32)).reshape(-1, B, width) / (1 - probability)
    return torch.from_numpy(np.broadcast_to(kept, (T, B, width)).astype(np.float32))


class Model(torch.nn.Module):
    def __init__(self, cell, layers):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, E)
        self.rnn = CELLS[cell](E, H, layers)
        self.fc = torch.nn.Linear(H, V)

    def flat(self):
        return torch.cat([p.detach().reshape(-1) for p in self.parameters()]).numpy().astype("<f4")

    def forward(self, symbols, states, step, network):
        def drop(x, counter, key):
            p = network.get(key, 0)
            return x * mask(step, counter, p, x.shape[2], network.get("dropoutMask") == "sequence") if p > 0 else x

        x = drop(self.embedding(symbols), INPUT, "dropoutInput")
        after, layers = [], self.rnn.num_layers
        for layer in range(layers):
            # One layer at a time, with the weights of the whole: between them lie masks that a module cannot be given.
            one = type(self.rnn)(x.shape[2], H)
            weights = {f"{name}_l0": getattr(self.rnn, f"{name}_l{layer}")
                       for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
            x, state = torch.func.functional_call(one, weights, (x, states[layer] if states else None))
            after.append(tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach())
            top = layer == layers - 1
            x = drop(x, layer, "dropoutOutput" if top else "dropout")
        return self.fc(x), after


def groups(model, decay):
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and n != "embedding.weight"]
    if decay == "all":
        return [dict(params=list(model.parameters()))]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    return [dict(params=matrices), dict(params=others, weight_decay=0)]


def optimizer(kind, parameters):
    rule = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
    return rule(
        parameters, lr=RULE["learningRate"], betas=(RULE["beta1"], RULE["beta2"]), eps=RULE["epsilon"],
        weight_decay=RULE["weightDecay"])


def encode(floats):
    return base64.b64encode(floats.tobytes()).decode()


def record(name, cell, kind, network):
    network = {"layerCount": 2, **network}
    model = Model(cell, network["layerCount"])
    first = model.flat()
    with torch.no_grad():
        for layer in range(network["layerCount"] if "forgetBias" in network else 0):
            getattr(model.rnn, f"bias_ih_l{layer}")[H : 2 * H] += network["forgetBias"]
    rule = optimizer(kind, groups(model, network.get("decay", "all")))
    text, stream = torch.tensor(TEXT), (len(TEXT) - 1) // B
    steps = stream // T
    states, batches, losses, norms = None, [], [], []
    for n in range(STEPS):
        starts = [b * stream + n % steps * T for b in range(B)]
        window = torch.stack([text[b : b + T + 1] for b in starts], dim=1)
        if n % steps == 0:
            states = None
        logits, states = model(window[:-1], states, n + 1, network)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), window[1:].reshape(-1))
        rule.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        losses.append(loss.item())
        rule.step()
        batches.append({"starts": starts, "resetsState": n % steps == 0})
    print(f"{name}: {losses[0]:.4f} -> {losses[-1]:.4f}")
    run = {
        "optimizer": kind, "batching": "stream", "rule": RULE, "batches": batches, "losses": losses, "norms": norms,
        "last": encode(model.flat()),
    }
    return {"name": name, "cell": cell, "first": encode(first), "network": network, "runs": [run]}


torch.manual_seed(17)
torch.set_num_threads(1)
cases = []
for cell in CELLS:
    for kind in ("character", "sequence"):
        cases.append(record(f"{cell}, {kind} masks everywhere", cell, "adam", {**ALL, "dropoutMask": kind}))
for kind in ("character", "sequence"):
    for key, place in (("dropoutInput", "below"), ("dropoutOutput", "above")):
        cases.append(record(
            f"lstm, one layer, {kind} mask {place}", "lstm", "adam", {"layerCount": 1, key: 0.5, "dropoutMask": kind}))
for kind in ("adamw", "adam"):
    for decay in ("all", "weights"):
        cases.append(record(f"lstm, {kind}, decay {decay}", "lstm", kind, {"decay": decay}))
cases.append(record("lstm, forget bias", "lstm", "adam", {"forgetBias": 1.0}))
recorded = {
    "torch": torch.__version__, "vocabularySize": V, "embeddingSize": E, "hiddenSize": H, "layerCount": 2,
    "sequenceLength": T, "clipNorm": CLIP, "weightAverage": 0, "seed": SEED, "text": TEXT, "cells": cases,
}
path = pathlib.Path(__file__).with_name("regularisation.json")
path.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
print(path.stat().st_size, "bytes")
