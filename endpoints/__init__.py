"""HTTP: the APIs that clients speak, how their answers are held, operations, and the commands.

One user of :mod:`forebay.actors` among others; nothing below imports from here.
"""
