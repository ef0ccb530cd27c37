"""What countries are called: a file, a list or a person may say CI, CIV, Ivory Coast or Côte d'Ivoire."""

from __future__ import annotations

import os
import re
import unicodedata

SUFFIXES = re.compile(r"(\.[a-z0-9]{2,5}){1,2}$", re.IGNORECASE)
ABOUT = re.compile(r"^(\d+px[\W_]+)?(flag[\W_]+of[\W_]+)?(the[\W_]+)?|[\W_]+flag$")


class Countries:
    """Leads all names of a country to its code, and the code to the name that is shown. What comes first is kept.

    >>> countries = Countries()
    >>> countries.add("CI", "Ivory Coast", "CIV", "Côte d'Ivoire")
    'CI'
    >>> countries.of_file("flags/320px-Flag_of_Cote_d'Ivoire.svg.png"), countries.name("CI")
    ('CI', 'Ivory Coast')
    """

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def add(self, code: str, *names: str) -> str:
        """Make a country's names known, the first of them to be shown. Gives the code as it was written at first."""
        code = self._codes.setdefault(plain(code), code)
        for name in names:
            self._codes.setdefault(plain(name), code)
        self._names.setdefault(code, next(iter(names), code))
        return code

    def code(self, name: str) -> str:
        """The code of the country that is called so; where nobody knows it, the name itself."""
        return self._codes.get(plain(name)) or self.add(name)

    def of_file(self, path: str) -> str:
        return self.code(stem(path))

    def name(self, code: str) -> str:
        return self._names[code]


def stem(path: str) -> str:
    return SUFFIXES.sub("", os.path.basename(path))


def plain(name: str) -> str:
    """What names are told apart by: no accent, case, blank, nor "Flag of the".

    >>> plain("320px-Flag_of_the_United_States"), plain("Côte d'Ivoire")
    ('unitedstates', 'cotedivoire')
    """
    text = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[\W_\u0300-\u036f]", "", ABOUT.sub("", text)) or name
