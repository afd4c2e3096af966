"""Remote experiments: slices of a plan as tuning jobs, whose journals and results lie in S3."""
