"""What setup.cfg cannot say: experiments/ and results/published/ are installed inside the package sandbox."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sandbox", "sandbox.*"]), "sandbox.experiments", "sandbox.published"],
    package_dir={"sandbox.experiments": "experiments", "sandbox.published": "results/published"},
)
