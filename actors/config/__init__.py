"""The configuration: typed, validated, read from a file, a program or the environment.

Reads files and text, never the network. What is wrong comes as one :class:`ConfigError` that
names every problem with its line and its mend, and no secret.
"""

from forebay.actors.config.environment import settings_from_environment
from forebay.actors.config.example import EXAMPLE_CONFIG
from forebay.actors.config.loading import load_settings, parse_settings, with_address
from forebay.actors.config.name_expressions import NameExpression
from forebay.actors.config.name_patterns import NameList, Wildcard, has_star, with_star
from forebay.actors.config.problems import ConfigError, Problem
from forebay.actors.config.provider_sections import (
    LimitSettings,
    ProviderSettings,
    TargetSettings,
    TimeoutSettings,
    TlsSettings,
)
from forebay.actors.config.sections import (
    KEPT_IN_MEMORY,
    AutoCandidates,
    AutoSettings,
    ClientSettings,
    Defaults,
    Hold,
    ImageLinks,
    ImageSettings,
    ModelSettings,
    OnUnsupported,
    SchedulingSettings,
    ServerSettings,
    StateSettings,
    UnknownModel,
    WaitSettings,
)
from forebay.actors.config.settings import Settings
from forebay.actors.config.tls_files import tls_options
from forebay.actors.config.values import EXPRESSION_MARK, NO_PROXY, is_loopback, split_target
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.lanes import Strategy

__all__ = [
    "EXAMPLE_CONFIG",
    "EXPRESSION_MARK",
    "KEPT_IN_MEMORY",
    "NO_PROXY",
    "AutoCandidates",
    "AutoSettings",
    "ClientSettings",
    "ConfigError",
    "Defaults",
    "Hold",
    "ImageLinks",
    "ImageSettings",
    "LimitSettings",
    "ModelSettings",
    "NameExpression",
    "NameList",
    "OnUnsupported",
    "Problem",
    "ProviderSettings",
    "SchedulingSettings",
    "ServerSettings",
    "Settings",
    "StateSettings",
    "Strategy",
    "TargetSettings",
    "TimeoutSettings",
    "TlsSettings",
    "TrafficClass",
    "UnknownModel",
    "WaitSettings",
    "Wildcard",
    "has_star",
    "is_loopback",
    "load_settings",
    "parse_settings",
    "settings_from_environment",
    "split_target",
    "tls_options",
    "with_address",
    "with_star",
]
