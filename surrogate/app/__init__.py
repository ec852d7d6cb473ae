"""The web page on this computer that accompanies songs."""
