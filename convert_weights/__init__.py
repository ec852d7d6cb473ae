"""Reads the weights of Google Magenta's MusicVAE, without TensorFlow, into musicvae_torch.

from convert_weights.conversion import convert

convert("hierdec-trio_16bar.ckpt", "hierdec-trio_16bar", "weights/trio")
"""
