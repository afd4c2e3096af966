"""The training-job service: jobs, clusters and their life cycles. It decides when, an executor does."""
