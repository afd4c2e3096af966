"""Prints the offline runs of Weights & Biases in a folder as JSON, from their files."""

import json
import sys
from pathlib import Path

from wandb.proto import wandb_internal_pb2

HEADER, BLOCK = 7, 32768


def records(data):
    """Records of a file, which has the form of a LevelDB log: blocks of pieces with checksum, length and type."""
    place, whole = HEADER, b""
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # full or last
            yield whole
            whole = b""


found = []
for path in sorted(Path(sys.argv[1]).glob("offline-run-*/*.wandb")):
    run = {"history": [], "summary": {}, "exit": None}
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run |= {"id": record.run.run_id, "group": record.run.run_group, "project": record.run.project}
            run |= {"name": record.run.display_name, "tags": list(record.run.tags)}
            run["config"] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            items = record.history.item
            row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
            run["history"].append({**row, "step": record.history.step.num})
        elif kind == "summary":
            for item in record.summary.update:
                run["summary"][item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "exit":
            run["exit"] = record.exit.exit_code
    found.append(run)
print(json.dumps(found))
