from setuptools import setup

setup(
    name="avbench-sample",
    version="1.0",
    packages=["avbench_sample"],
    entry_points={
        "avbench.methods": ["loudness = avbench_sample.method:Loudness"],
        "avbench.datasets": ["folder = avbench_sample.dataset:Folder"],
    },
)
