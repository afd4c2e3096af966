"""The dashboard: a local page over the journals of experiments, live or frozen into one file."""
