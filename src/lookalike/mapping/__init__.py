"""All images of a collection laid out by likeness, in the plane and on a grid.

layout.py: from vectors to points; grid.py: from points to cells; groups.py: what belongs together; maps.py: all of it,
kept beside the collection.
"""

from lookalike.mapping.groups import COLOURS, LABELS, WAYS, By, Grouping, grouping, has_labels
from lookalike.mapping.layout import METHODS, Method, missing
from lookalike.mapping.maps import Map, kept_map, map_of, state_of

__all__ = [
    "COLOURS",
    "LABELS",
    "METHODS",
    "WAYS",
    "By",
    "Grouping",
    "Map",
    "Method",
    "grouping",
    "has_labels",
    "kept_map",
    "map_of",
    "missing",
    "state_of",
]
