"""Prints what TensorBoard itself reads from a job's event file, as JSON: {tag: [[step, value], …]}."""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator

events = event_accumulator.EventAccumulator(
    sys.argv[1], size_guidance={event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0}
)
events.Reload()
tags = events.Tags()
found = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]}
for tag in tags["tensors"]:
    found[tag] = [
        [e.step, e.tensor_proto.string_val[0].decode()] for e in events.Tensors(tag)
    ]
print(json.dumps(found))
