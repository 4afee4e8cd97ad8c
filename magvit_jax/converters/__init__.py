"""Weights of other people's tokenizers, read into this library's and written back under their names."""
