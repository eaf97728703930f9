"""``avbench doctor``: what is installed, what each missing part would bring, how to get it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import click


@dataclass(frozen=True)
class Part:
    """One thing that avbench uses."""

    package: str
    """Distribution name."""
    brings: str
    check: Callable[[], object]
    """Does real work with it; any exception means that it does not work here."""
    extra: str | None = None
    """The optional extra that installs it; None where it is required."""

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"pip install 'avbench[{self.extra}]'" if self.extra else "pip install avbench"


def _torch() -> object:
    import torch

    return torch.ones(2) @ torch.ones(2)


def _decoder() -> object:
    from avbench.media import decoder_versions

    return decoder_versions()


def _opencv() -> object:
    import cv2
    import numpy as np

    return cv2.resize(np.zeros((4, 4), np.uint8), (2, 2))


def _mediapipe() -> object:
    from mediapipe.python.solutions import face_detection

    return face_detection.FaceDetection


def _espeak() -> object:
    import espeakng_loader

    return espeakng_loader.get_library_path()


def _import(name: str) -> Callable[[], object]:
    import importlib

    return lambda: importlib.import_module(name)


PARTS = (
    Part("torch", "networks", _torch),
    Part("torchaudio", "sound features", _import("avbench._torchaudio")),
    Part("av", "reading and writing media", _decoder),
    Part("opencv-python-headless", "pictures", _opencv),
    Part("ray", "build-shards on all cores or a cluster", _import("ray")),
    Part("webdataset", "the shard format", _import("webdataset")),
    Part("pyarrow", "tables", _import("pyarrow.parquet")),
    Part("matplotlib", "figures", _import("matplotlib")),
    Part("mediapipe", "BlazeFace, the embedded face detector of build-shards", _mediapipe, "face"),
    Part("espeakng-loader", "speech for the embedded corpus of synth (GPL-3)", _espeak, "synth"),
    Part(
        "scenedetect-headless",
        "PySceneDetect's detectors, for build-shards --shots content or adaptive",
        _import("scenedetect"),
        "shots",
    ),
)


@click.command("doctor")
def command() -> None:
    r"""Say what is installed and working, and how to get what is missing.

    Exits with 1 when a required part does not work; missing optional parts are only named.

    \b
    Examples:
      avbench doctor
    """
    click.echo(
        f"avbench {_version('avbench')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    )
    broken = [part for part in PARTS if not _report(part)]
    _report_checkpoints()
    required = [part.package for part in broken if part.extra is None]
    if required:
        click.echo(f"\nNot working: {', '.join(required)}. Nothing is sure to run until they do.")
        raise SystemExit(1)
    click.echo("\nReady." if not broken else "\nReady, but for the optional parts named above.")


def _report(part: Part) -> bool:
    try:
        part.check()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        state = "missing" if isinstance(error, ModuleNotFoundError) else f"broken ({reason})"
        kind = "optional" if part.extra else "required"
        click.echo(f"  --  {part.package:<24} {state}; {kind}: {part.brings}")
        click.echo(f"      {'':<24} get it: {part.remedy}")
        if "libGL" in reason:
            click.echo(
                f"      {'':<24} or: pip install --force-reinstall --no-deps opencv-python-headless"
            )
        return False
    click.echo(f"  ok  {part.package:<24} {_version(part.package):<12} {part.brings}")
    return True


def _report_checkpoints() -> None:
    from importlib.resources import files

    from avbench import datasets, methods
    from avbench.cache import default_directory

    names = sorted(
        entry.name.removesuffix(".safetensors")
        for entry in files("avbench.checkpoints").iterdir()
        if entry.name.endswith(".safetensors")
    )
    click.echo(f"  methods: {', '.join(methods.available()) or 'none'}")
    click.echo(f"  data sets of other packages: {', '.join(datasets.available()) or 'none'}")
    click.echo(f"  shipped checkpoints: {', '.join(names) or 'none'}")
    kept = [path.stat().st_size for path in default_directory().rglob("*.safetensors")]
    click.echo(
        f"  embeddings kept: {len(kept)}, {sum(kept) / 2**20:.0f} MiB in {default_directory()}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
