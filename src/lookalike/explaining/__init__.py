"""Why two pictures match, in pictures: `explain("a.jpg", "b.jpg").save("why.html")`."""

from lookalike.explaining.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
