"""The main job end to end: train a tokenizer and a generator, measure them, write a report."""
