"""Accounts at upstreams: their targets and limits, what they list, what is known of their models,
how they are asked and whether they are well. Knows of nobody's requests."""
