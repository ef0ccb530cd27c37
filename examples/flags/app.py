"""Choose a country and models, and see the nearest flags side by side.

pip install 'lookalike[streamlit]'
streamlit run examples/flags/app.py -- FOLDER [MODEL]... [--names flags.csv]
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

import streamlit as st
from asking import parts_of
from truth import read_countries

import lookalike

parser = argparse.ArgumentParser()
parser.add_argument("folder", nargs="?", default="flags")
parser.add_argument("models", nargs="*")
parser.add_argument("--names", type=Path)
options = parser.parse_intermixed_args()
chosen = list(dict.fromkeys(options.models or ["layout", "color", "hog"]))


@st.cache_resource(show_spinner="Looking at the flags ...")
def opened(folder: str, models: list[str]) -> lookalike.Collection:
    collection = lookalike.open(folder)
    collection.add(models=parts_of(models))
    return collection


st.set_page_config(page_title="Which flags look alike?", layout="wide")
st.title("Which flags look alike?")
try:
    countries, flags = read_countries(options.names), opened(options.folder, chosen)
    images = {image.path: image for image in flags.listing(count=flags.info()["images"])[1]}
    names = {path: countries.name(countries.of_file(path)) for path in images}
    files = Counter(names.values())
    shared = [path for path in names if files[names[path]] > 1]
    names |= {path: f"{names[path]} ({os.path.relpath(path, os.path.realpath(options.folder))})" for path in shared}
    left, right = st.columns(2)
    country = left.selectbox("Country", sorted(images, key=names.__getitem__), format_func=names.__getitem__)
    models = right.multiselect("Models", list(dict.fromkeys([*chosen, *flags.models])), default=chosen)
    if country:
        st.image(flags.thumbnail(images[country].id) or country, width=200)
    for model, column in zip(models, st.columns(len(models) or 1), strict=False):
        column.subheader(model)
        for hit in flags.search(country, model=model, k=5):
            caption = f"{hit.rank}. {names[hit.path]}: {hit.score:.2f}"
            column.image(flags.thumbnail(hit.image.id) or hit.path, caption=caption, width=160)
except lookalike.LookalikeError as error:
    st.error(str(error))
