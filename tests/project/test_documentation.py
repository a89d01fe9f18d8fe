"""What the documents show is what runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import trio

from forebay.endpoints.sandbox import Sandbox, SandboxOptions, serve_sandbox

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_embedding_page_shows_the_examples_as_they_are(example: Path) -> None:
    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert example.read_text(encoding="utf-8") in shown


async def test_the_gateway_runs_embedded_without_a_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_sandbox, Sandbox(SandboxOptions()))
        example = runpy.run_path(str(ROOT / "docs" / "examples" / "embedded_gateway.py"))
        with trio.fail_after(10):
            await example["main"](f"http://127.0.0.1:{port}/v1")
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().out.startswith("You said: Where does the water wait?")


def test_the_readme_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "pip install uv && uv run forebay serve" in lines
    assert "uv run pytest" in lines


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
    ],
)
def test_links_between_documents_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
