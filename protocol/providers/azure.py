"""OpenAI's models at Azure: the v1 API of a resource.

Models are asked for by the names of their deployments, which a key can't list: what the resource
lists is what could be deployed in its region. So ``targets`` names them.
"""

from dataclasses import replace

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers import openai
from forebay.protocol.providers.base import Greeting, KnownAs, Notes, Probe


def _read_entry(name: str, entry: JsonObject) -> ListedModel | None:
    return None


PROFILE = replace(
    openai.PROFILE,
    kind="azure",
    known_as=KnownAs(prices="azure", capabilities="azure"),
    notes=Notes(
        title="OpenAI's models at Azure",
        limits="as for `openai`; limits of -1 and 0 mean that nothing is counted.",
        lossy=("As for `openai`.",),
        remarks=(
            "`base_url` is the resource's address with `/openai/v1`. Paths with "
            "`/deployments/` and `api-version` are of the kind `azure_deployments`.",
            "A model is asked for by the name of its deployment, which a key can't list: name "
            "them in `targets`.",
        ),
    ),
    default_base_url=None,
    greeting=Greeting.API_KEY,
    default_models={},
    read_entry=_read_entry,
    probe=Probe(path="/models"),
)
