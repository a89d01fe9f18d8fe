"""The scheduling core: limits, fairness and the pool that grants, as plain objects.

Everything in here is synchronous, takes the time as an argument (seconds on any monotonic clock)
and knows neither tasks nor models nor HTTP. Actors drive it.
"""
