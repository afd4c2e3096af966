"""A SageMaker-compatible endpoint on localhost that really runs training jobs."""
