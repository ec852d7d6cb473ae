"""Training surrogate encoders on data sets of trios."""
