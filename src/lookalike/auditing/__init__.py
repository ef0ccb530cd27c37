"""What a model is biased by: pairs that it joins or parts against their looks, groups, words, backgrounds.

>>> from lookalike.auditing import audit
>>> audit("photos", "clip", ["layout", "sift"]).save_html("audit.html")             # doctest: +SKIP
"""

from lookalike.auditing.results import Audit
from lookalike.auditing.run import audit

__all__ = ["Audit", "audit"]
