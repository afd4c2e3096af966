"""Parts of backends whose jobs work through S3: code, orders, tasks, reports and checkpoints."""
