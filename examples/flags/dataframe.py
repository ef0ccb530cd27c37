"""The flags as a table with a column of features, and cosines by NumPy: for those who like to go on by themselves.

pip install 'lookalike[streamlit]'
python examples/flags/dataframe.py FOLDER COUNTRY [MODEL]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import lookalike
from lookalike.errors import UsageError


def features(folder: str, model: str) -> pd.DataFrame:
    """A row a flag: its country as the file is called, its path, and its features: a vector of length 1."""
    with tempfile.TemporaryDirectory() as place:
        flags = lookalike.open(folder, into=place)
        flags.add(models=[model])
        images, vectors = flags.vectors(model)
        flags.close()
    paths = [Path(image.path) for image in images]
    return pd.DataFrame({"country": [path.stem for path in paths], "path": paths, "features": list(vectors)})


def nearest(flags: pd.DataFrame, country: str, k: int = 5) -> pd.DataFrame:
    """The k flags most like a country's, by cosine: of vectors of length 1, that is their product."""
    if country not in flags["country"].values:
        raise UsageError(f"no flag is called {country!r}: choose from {', '.join(flags['country'])}")
    query = flags.loc[flags["country"] == country, "features"].iloc[0]
    flags = flags.assign(cosine=np.stack(flags["features"]) @ query)
    return flags[flags["country"] != country].nlargest(k, "cosine")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: dataframe.py FOLDER COUNTRY [MODEL]")
    folder, country, model = [*sys.argv[1:], "layout"][:3]
    try:
        print(nearest(features(folder, model), country)[["country", "cosine"]].to_string(index=False))
    except lookalike.LookalikeError as error:
        sys.exit(f"dataframe.py: {error}")
