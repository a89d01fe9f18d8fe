"""What ``bench/promises.py`` measures: each promise in a module of its own."""
