"""Package metadata, extras and entry points; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "avbench" / "__init__.py").read_text("utf-8"), re.M
).group(1)

TOPS = ("avbench", "baselines", "pipelines")
FACE = ["mediapipe==0.10.14", "opencv-contrib-python>=4.9,<5"]
SYNTH = ["espeakng-loader>=0.2.4"]
TENSORBOARD = ["tensorboard"]
SHOTS = ["scenedetect-headless>=0.7,<0.8"]
DEV = [
    "build",
    "hypothesis",
    "import-linter",
    "mypy",
    "pandas-stubs",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "selenium>=4.20,<5",
    "setuptools>=77",
]

setup(
    name="avbench",
    version=VERSION,
    description="Raw video of talking people to lip-sync datasets, and every method measured.",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=[f"{top}{rest}" for top in TOPS for rest in ("", ".*")]),
    package_data={
        "avbench": ["py.typed"],
        "avbench.checkpoints": ["*.safetensors", "*.json"],
        "avbench.leaderboard.site_assets": ["*.html", "*.css", "*.js"],
        "avbench.pages.assets": ["*.html", "*.css", "*.js"],
        "avbench.study.assets": ["*.html", "*.css", "*.js"],
    },
    install_requires=[
        "av>=17.1,<19",
        "click>=8.1,!=8.3.0,<9",
        "fsspec>=2024.2",
        "jinja2>=3.1,<4",
        "matplotlib>=3.8",
        "numpy>=1.26,<3",
        "opencv-python-headless>=4.9,<5",
        "pandas>=2.2.3,<4",
        "pyarrow>=17",
        "ray>=2.51,<3",
        "safetensors>=0.4",
        "scipy>=1.11",
        "torch>=2.4,<2.14",
        "torchaudio>=2.4,<2.12",
        "tqdm>=4.66",
        "webdataset>=1.0,<2",
    ],
    extras_require={
        "face": FACE,
        "synth": SYNTH,
        "shots": SHOTS,
        "tensorboard": TENSORBOARD,
        "dev": DEV,
        "all": FACE + SYNTH + SHOTS,
    },
    entry_points={
        "console_scripts": ["avbench = avbench.cli:main"],
        "avbench.methods": [
            "constant = baselines.constant:Constant",
            "oracle = baselines.oracle:Oracle",
            "syncnet = baselines.syncnet:SyncNet",
            "diag-avg = baselines.diag_avg:DiagAvg",
            "sync-cls = baselines.sync_cls:SyncCls",
            "sync-e2e = baselines.sync_e2e:SyncE2E",
            "lip-geometry = baselines.lip_geometry:LipGeometry",
            "syncnet-vote = baselines.syncnet_vote:SyncNetVote",
            "dta = baselines.dta:Dta",
            "dta-video = baselines.dta:DtaVideo",
            "skip-dtw = baselines.skip_dtw:SkipDtw",
            "mend = baselines.mend:Mend",
            "syncnet-local = baselines.syncnet_local:SyncNetLocal",
            "tae = baselines.tae:Tae",
            "tae-no-attention = baselines.tae:TaeNoAttention",
            "tae-crf = baselines.tae_crf:TaeCrf",
        ],
        "avbench.pipelines": [
            "facetracks = pipelines.build:build",
            "bench = pipelines.bench:bench",
            "refine = pipelines.refine_sets:refine",
        ],
        "avbench.exporters": [
            "lrs = pipelines.export.lrs:Lrs",
            "parquet = pipelines.export.parquet:Parquet",
            "hf = pipelines.export.huggingface:HuggingFace",
        ],
    },
)
