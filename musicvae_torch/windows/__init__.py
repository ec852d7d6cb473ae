"""Windows of any model, as tensors: encoded, decoded and scored, a batch at a time."""
