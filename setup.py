"""The one thing setup.cfg cannot say: experiments/, a folder of plain files, is installed as sandbox.experiments."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sandbox", "sandbox.*"]), "sandbox.experiments"],
    package_dir={"sandbox.experiments": "experiments"},
)
