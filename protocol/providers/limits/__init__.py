"""What providers tell of their limits, in headers and in refusals: one reader per notation."""
