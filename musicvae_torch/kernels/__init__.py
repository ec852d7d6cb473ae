"""The LSTM of `model.lstm`, fast: each kernel is tested against that reference."""
