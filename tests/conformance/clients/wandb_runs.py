"""Prints the offline runs of Weights & Biases in a folder as JSON, from their files."""

import json
import sys
from pathlib import Path

from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore

found = []
for path in sorted(Path(sys.argv[1]).glob("offline-run-*/*.wandb")):
    store = DataStore()
    store.open_for_scan(str(path))
    run = {"history": [], "summary": {}, "exit": None}
    while (data := store.scan_data()) is not None:
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
