"""Notes ↔ tensors: one representation a file, and which one each config uses."""
