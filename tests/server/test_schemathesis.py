"""Requests of every kind that the OpenAPI document allows, and of kinds that it does not, to every route."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

CHECKS = schemathesis.Config.from_dict(
    {
        "checks": {
            # A string that no schema tells from a picture's name is refused all the same.
            "positive_data_acceptance": {"enabled": False},
            # Refused are also a body and an address that are too long.
            "negative_data_rejection": {"expected-statuses": [400, 403, 404, 405, 409, 413, 414, 422, 429]},
        }
    }
)

EXAMPLES = 30
"""Requests made up for each route, beside the document's own examples: always the same ones."""


def test_every_answer_is_one_that_is_documented(live: str) -> None:
    document = schemathesis.openapi.from_url(f"{live}/openapi.json", config=CHECKS)
    operations = [found.ok() for found in document.get_all_operations()]
    assert {"POST /v1/search", "POST /v1/embeddings", "POST /collections/{collection}/points/query"} <= {
        operation.label for operation in operations
    }
    failures = []
    for operation in operations:

        @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(timeout=120)  # PaCMAP, where it is installed, compiles itself at its first map

        try:
            check()
        except Exception as error:  # noqa: BLE001 - one route's failure is not to hide the next one's
            error.add_note(operation.label)
            failures.append(error)
    if failures:
        raise ExceptionGroup("answers that are not documented", failures)
