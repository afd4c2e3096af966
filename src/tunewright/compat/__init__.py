"""Stand-ins for other packages in training scripts; this folder is on a trial's import path."""
