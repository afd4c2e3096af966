"""What stands in for other packages in training scripts; this folder is put on a trial's import path."""
