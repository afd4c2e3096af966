"""A loop with while, and the line of a report printed by hand."""

import argparse
import json
import sys

MARK = "[tune-metric]: "
parser = argparse.ArgumentParser()
parser.add_argument("--step_size", default=0.3)
parser.add_argument("--noise", type=float, default=0.0)
parser.add_argument("--max_steps", type=int, default=6)
config = vars(parser.parse_args())

done, x = 0, 5.0
while done < config["max_steps"]:
    done += 1
    x -= float(config["step_size"]) * x
    line = {"step": done, "x": x}
    line["error"] = abs(x) + config["noise"]
    print(MARK + json.dumps(line))
    sys.stdout.flush()
