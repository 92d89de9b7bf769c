"""The operators: each one class with its `forward` and `backward` side by side, and a lower-case function."""
