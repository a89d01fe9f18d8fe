"""The Node SDKs, installed once for all tests here."""

from __future__ import annotations

import pytest
from node_clients import NoNode, install_node_sdks


@pytest.fixture(scope="session")
def node_sdks() -> None:
    """Whoever has it may ask with them."""
    try:
        install_node_sdks()
    except NoNode as none:
        pytest.skip(str(none))
