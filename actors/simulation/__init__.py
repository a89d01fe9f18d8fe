"""Simulations: the gateway's own actors in virtual time, before providers that are made up.

What a day of traffic would wait, how much of each limit it would use, and what would change if a
limit or the traffic did: in minutes, exactly, and the same again each time.
"""
