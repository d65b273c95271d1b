"""Some twenty sample photos that are part of scikit-image and scikit-learn (the extra `[demo]`).

They are read from the installed packages; nothing is copied or downloaded.
"""

from importlib.util import find_spec
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.core.extras import how_to_install
from clipsight.indexing.scan import photos_in

EXCLUDE = (
    "chessboard_*",  # drawings
    "color.png",
    "horse.png",
    "logo.png",
    "phantom.png",
    "page.png",  # scans of text
    "text.png",
    "clock_motion.png",  # blurred beyond recognition
    "microaneurysms.png",  # 102 x 102 pixels cut from a larger photo
    "multipage*",  # 10 x 15 and 14 x 24 pixels, for tests of file formats
    "*.gif",
)
"""Names of files in these folders that are not photos, such as test patterns, which match many queries."""


def sample_photos() -> list[Path]:
    """Return the sample photos, by folder and name. Raises LibraryError if the extra [demo] is missing."""
    return [photo for folder in sample_folders() for photo in photos_in(folder, exclude=EXCLUDE)]


def sample_folders() -> list[Path]:
    """Return the folders of the sample photos. Raises LibraryError if the extra [demo] is missing.

    The packages are located without importing them, which would be slow.
    """
    return [
        _package_folder("skimage", "scikit-image") / "data",
        _package_folder("sklearn", "scikit-learn") / "datasets" / "images",
    ]


def _package_folder(module: str, distribution: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise LibraryError(
            f"the sample photos come with {distribution}, which is not installed: {how_to_install('demo')}"
        )
    return Path(spec.origin).parent
