"""The gateway: providers, models and sessions as actors, and the jobs that pass through them."""

from forebay.actors.gateway.chat import ChatStream
from forebay.actors.gateway.gateway import Answer, Gateway
from forebay.actors.gateway.opening import open_gateway
from forebay.actors.gateway.permits import Permit
from forebay.actors.gateway.reloads import Reload
from forebay.actors.jobs.failures import JobFailure, JobHistory
from forebay.actors.jobs.job import ANONYMOUS, Client, Job
from forebay.actors.providers.sizes import RequestSize

__all__ = [
    "ANONYMOUS",
    "Answer",
    "ChatStream",
    "Client",
    "Gateway",
    "Job",
    "JobFailure",
    "JobHistory",
    "Permit",
    "Reload",
    "RequestSize",
    "open_gateway",
]
