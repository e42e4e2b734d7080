"""A shop with traffic: models, deploys of it, the demo and the benchmarks."""
