"""SoundStream: sound to ids of a residual vector quantizer and back (Zeghidour et al. 2021; thesis 8.3)."""
