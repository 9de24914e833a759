"""Prints the scalars that the real TensorBoard reads from a folder of event files: {tag: [[step, wall time, value], ...]}.

    tensorboard_scalars.py FOLDER
"""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

board = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
board.Reload()
scalars = {tag: [[e.step, e.wall_time, e.value] for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
print(json.dumps(scalars).replace("NaN", '"NaN"').replace("Infinity", '"Infinity"'))
