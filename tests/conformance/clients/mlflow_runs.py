"""Prints the runs of an MLflow store as JSON. Argument: its address."""

import json
import sys

from mlflow import MlflowClient

client = MlflowClient(sys.argv[1])
found = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        names = run.data.metrics
        history = {name: client.get_metric_history(run.info.run_id, name) for name in names}
        found.append(
            {
                "group": experiment.name,
                "id": run.info.run_id,
                "name": run.info.run_name,
                "status": run.info.status,
                "params": run.data.params,
                "tags": run.data.tags,
                "metrics": {name: [(m.step, m.value) for m in points] for name, points in history.items()},
                "files": [file.path for file in client.list_artifacts(run.info.run_id, "checkpoint")],
            }
        )
print(json.dumps(found))
