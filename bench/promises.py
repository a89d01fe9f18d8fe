"""What scheduling promises, once each in real time: the exact proofs are tests in virtual time.

A sandbox that enforces a limit, the gateway before it, and clients that send, each in a process of
its own, over TCP on loopback.

  quota       requests, tokens and slots as the bottleneck; configured, told by headers, unknown
  follow      a limit that halves and doubles again, told and unknown
  fairness    jobs of 100 to 100,000 tokens, one client with 100 times more of them; weights 1:2:4
  newcomer    the first job of a client that comes to a crowd
  faults      refusals, breaks and clients that leave: nobody lost, nobody served twice
  forecasts   the start that is told to those who wait, against the true one

All take about twenty minutes, most of it the quota, which ``--quick`` shortens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Final

from harness.figures import Report, argument_parser, publish
from harness.processes import prepare_process
from promised.fairness import fairness_reports
from promised.faults import fault_reports
from promised.following import follow_reports
from promised.forecasts import forecast_reports
from promised.newcomers import newcomer_reports
from promised.quota import quota_reports

_PROMISES: Final[dict[str, Callable[..., Iterator[Report]]]] = {
    "quota": quota_reports,
    "follow": follow_reports,
    "fairness": fairness_reports,
    "newcomer": newcomer_reports,
    "faults": fault_reports,
    "forecasts": forecast_reports,
}


def main() -> int:
    """Runs those that were asked for, or all."""
    parser = argument_parser(__doc__)
    parser.add_argument("promise", nargs="*", choices=[[], *_PROMISES], help="default: all")
    chosen = parser.parse_args()
    prepare_process()
    reports = (
        report
        for name in chosen.promise or _PROMISES
        for report in _PROMISES[name](quick=chosen.quick)
    )
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
