"""Choose a country and models, and see the nearest flags side by side.

pip install 'lookalike[streamlit]'
streamlit run examples/flags/app.py -- FOLDER [MODEL]...
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

import lookalike

FOLDER = sys.argv[1] if sys.argv[1:] else "flags"
MODELS = sys.argv[2:] or ["layout", "color", "hog"]


@st.cache_resource(show_spinner="Looking at the flags ...")
def opened(folder: str, models: list[str]) -> lookalike.Collection:
    collection = lookalike.open(folder)
    collection.add(models=models)
    return collection


st.set_page_config(page_title="Which flags look alike?", layout="wide")
st.title("Which flags look alike?")
try:
    flags = opened(FOLDER, MODELS)
    images = {Path(image.path).stem: image for image in flags.vectors(MODELS[0])[0]}
    left, right = st.columns(2)
    country = left.selectbox("Country", sorted(images))
    models = right.multiselect("Models", flags.models, default=MODELS)
    if country:
        st.image(flags.thumbnail(images[country].id) or images[country].path, width=200)
    for model, column in zip(models, st.columns(len(models) or 1), strict=False):
        column.subheader(model)
        for hit in flags.search(images[country].path, model=model, k=5):
            caption = f"{hit.rank}. {Path(hit.path).stem}: {hit.score:.2f}"
            column.image(flags.thumbnail(hit.image.id) or hit.path, caption=caption, width=160)
except lookalike.LookalikeError as error:
    st.error(str(error))
