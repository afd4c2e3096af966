"""Experiment folders: written by ``tunewright init`` from a training script, which is read and never run."""
