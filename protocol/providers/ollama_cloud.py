"""Ollama's cloud, asked directly. It tells nothing of its limits but in words."""

from dataclasses import replace

from forebay.protocol.providers import ollama
from forebay.protocol.providers.base import KnownAs, Notes, Probe

PROFILE = replace(
    ollama.PROFILE,
    kind="ollama_cloud",
    known_as=KnownAs(capabilities="ollama-cloud"),
    notes=Notes(
        title="Ollama's cloud",
        limits=(
            "words of its refusals: calls at the same time, or a window of hours, a week or a "
            "month that is used up. Answers tell nothing."
        ),
        lossy=("As for `ollama`.",),
        remarks=("The listing is open to all, so a wrong key shows with the first call.",),
    ),
    default_base_url="https://ollama.com",
    needs_key=True,
    takes_hosts=False,
    loaded_models=None,
    manages_models=False,
    one_account=True,
    probe=Probe(path="/api/tags", checks_key=False),
)
