"""How long a test waits for a condition."""

LONGEST = 600.0  # in seconds. It ends a test that hangs; a busy machine can be 20 times slower than a quiet one.
