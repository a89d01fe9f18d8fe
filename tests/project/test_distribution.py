"""What is built is what is installed: the wheel and the sdist hold everything, and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv")
    assert uv is not None, "uv is needed: pip install uv"
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([uv, "build", "--out-dir", str(out), str(ROOT)], check=True, capture_output=True)
    return out


def _sources(folder: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }


def test_the_wheel_holds_the_three_folders_under_one_name(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"forebay/{name}"
        for folder in ("actors", "endpoints", "protocol")
        for name in _sources(folder)
    }
    assert expected <= names
    top_level = {name.split("/")[0] for name in names}
    assert top_level == {"forebay", next(name for name in top_level if name.endswith(".dist-info"))}
    assert "forebay/__init__.py" not in names


def test_the_sdist_holds_sources_tests_and_docs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("actors", "endpoints", "protocol", "tests", "bench"):
        assert _sources(folder) <= names, folder
    assert {"README.md", "LICENSE", "pyproject.toml", "docs/configuration.md"} <= names


def test_the_installed_wheel_runs(built: Path, tmp_path: Path) -> None:
    """Its dependencies come from this environment: nothing is fetched."""
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    venv.create(tmp_path / "env", with_pip=False)
    site_packages = next(
        path for path in map(Path, sys.path) if path.name == "site-packages" and path.is_dir()
    )
    run = subprocess.run(
        [str(tmp_path / "env" / "bin" / "python"), "-m", "forebay.endpoints.cli", "--version"],
        env={"PYTHONPATH": f"{target}:{site_packages}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("forebay, version ")
