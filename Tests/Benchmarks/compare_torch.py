"""The seed's model in PyTorch: trains and writes on demand, for `compare`.

Reads one JSON object a line and answers with one: {"train": seconds} gives the milliseconds of each step made in that
time; {"write": characters} the characters a second of one stream; {"end": 1} the most memory occupied, and ends.
"""

import json
import resource
import sys
import time

import torch
from torch import nn

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
cell, hidden, layers, batch, steps, symbols, threads, precision = sys.argv[1:9]
hidden, layers, batch, steps, symbols = map(int, (hidden, layers, batch, steps, symbols))
torch.set_num_threads(int(threads))
torch.manual_seed(1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(symbols, hidden)
        self.rnn = CELLS[cell](hidden, hidden, layers, dropout=0.5 if layers > 1 else 0, batch_first=True)
        self.fc = nn.Linear(hidden, symbols)

    def forward(self, x, state=None):
        y, state = self.rnn(self.embedding(x), state)
        return self.fc(y), state


model = Model()
if precision == "bf16":
    model = model.to(torch.bfloat16)
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
loss_of = nn.CrossEntropyLoss()
text = torch.randint(symbols, (batch, steps + 1))
state = None


def detached(value):
    return tuple(v.detach() for v in value) if isinstance(value, tuple) else value.detach()


def step():
    global state
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        logits, state = model(text[:, :-1], state)
        loss = loss_of(logits.reshape(-1, symbols).float(), text[:, 1:].reshape(-1))
    state = detached(state)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss.item()


def train(seconds):
    times = []
    start = time.perf_counter()
    while not times or time.perf_counter() - start < seconds:
        began = time.perf_counter()
        step()
        times.append((time.perf_counter() - began) * 1000)
    return times


@torch.inference_mode()
def write(characters):
    model.eval()
    symbol, own = torch.zeros(1, 1, dtype=torch.long), None
    began = time.perf_counter()
    for _ in range(characters):
        logits, own = model(symbol, own)
        symbol = torch.multinomial(torch.softmax(logits[0, -1] / 0.8, -1), 1)[None]
        symbol.item()
    model.train()
    return characters / (time.perf_counter() - began)


for line in sys.stdin:
    request = json.loads(line)
    if "train" in request:
        answer = train(request["train"])
    elif "write" in request:
        answer = write(request["write"])
    else:
        answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(answer), flush=True)
    if "end" in request:
        break
