"""Widths that figures and tables may take where papers appear.

Each width is that of the venue's own author kit, named beside it. A figure made at the width it
will have in print needs no scaling, so its letters keep the size they were drawn with.
"""

from __future__ import annotations

from dataclasses import dataclass

from avbench.errors import UnknownName, UsageError

POINTS_PER_INCH = 72.27
"""TeX points; PDF and CSS points are 72 to the inch."""


@dataclass(frozen=True)
class Venue:
    """How wide the columns of a venue's papers are."""

    name: str
    column: float
    """Width of one column in inches."""
    text: float
    """Width of the text, all columns and the gaps between them, in inches."""
    source: str
    """The author kit that says so."""

    def inches(self, columns: int) -> float:
        """Return the width of so many columns, 1 or 2, in inches."""
        if columns not in (1, 2):
            raise UsageError(f"got {columns} columns, expected 1 or 2")
        return self.column if columns == 1 else self.text


VENUES = {
    venue.name: venue
    for venue in (
        Venue("acl", 3.03, 6.30, "ACL style files: columns of 7.7 cm, text of 16 cm"),
        Venue("acm", 3.33, 7.00, "acmart, sigconf: 241.1 pt columns, 506.3 pt text"),
        Venue("article", 4.77, 4.77, "LaTeX's article class at 10 pt: text of 345 pt"),
        Venue("cvpr", 3.25, 6.875, "CVPR author kit: columns of 3 1/4 in, text of 6 7/8 in"),
        Venue("icassp", 3.39, 7.00, "ICASSP paper kit: columns of 86 mm, text of 178 mm"),
        Venue("ieee", 3.50, 7.16, "IEEE, sizing of graphics: 21 and 43 picas"),
        Venue("interspeech", 3.15, 6.69, "Interspeech paper kit: columns of 80 mm, 10 mm apart"),
        Venue("lncs", 4.80, 4.80, "Springer LNCS guidelines: printing area 122 mm wide"),
        Venue("neurips", 5.50, 5.50, "NeurIPS style file: text of 33 picas"),
        Venue("wacv", 3.25, 6.875, "WACV author kit, which is CVPR's"),
    )
}
"""Name -> venue. ECCV and MICCAI are ``lncs``, ICCV is ``cvpr``, ICLR is ``neurips``, SLT and
ASRU are ``icassp``."""


def get(name: str) -> Venue:
    """Return a venue by name.

    Raises
    ------
    UnknownName
        If none is called so.

    >>> get("interspeech").inches(columns=1)
    3.15
    """
    try:
        return VENUES[name]
    except KeyError:
        raise UnknownName("venue", name, VENUES) from None
