"""The variables of Magenta's checkpoints ↔ the parameters of musicvae_torch."""
