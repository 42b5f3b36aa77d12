"""Stage two: the conditional transformer, its prior, its sampler and its guidance."""
