"""Pure rules on curves: arrays in, judgements out. Knows no framework and no file."""
