"""Checks an ONNX file with the onnx package and runs it with onnxruntime, for the tests.

    run_model.py MODEL PROMPT       prints JSON: the logits after each character, of the prompt as a whole, of its two
                                    halves with the states handed on, and of it as the second of two texts at once
"""

import json
import sys

import numpy
import onnx
import onnxruntime

path, prompt = sys.argv[1:]
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
told = {entry.key: entry.value for entry in model.metadata_props}
vocabulary = json.loads(told["vocabulary"])
symbols = numpy.array([[vocabulary.index(ord(character)) for character in prompt]])
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def zeros(batch):
    return {
        value.name: numpy.zeros([batch if size == "batch" else size for size in value.shape], numpy.float32)
        for value in session.get_inputs()[1:]
    }


def run(symbols, states):
    logits, *after = session.run(None, {"symbols": symbols, **states})
    return logits, dict(zip(states, after))


whole, _ = run(symbols, zeros(1))
half = len(prompt) // 2
first, states = run(symbols[:, :half], zeros(1))
second, _ = run(symbols[:, half:], states)
both, _ = run(numpy.concatenate([symbols[:, ::-1], symbols]), zeros(2))
rows = {"whole": whole[0], "halves": numpy.concatenate([first, second], axis=1)[0], "second": both[1]}
print(json.dumps({name: value.tolist() for name, value in rows.items()}))
