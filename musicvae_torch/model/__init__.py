"""The model, to be read from top to bottom: vae, encoder, decoder, heads, lstm."""
