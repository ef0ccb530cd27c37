"""The built-in models: a model is a row. Loaders are names: reading the catalogue loads none."""

from lookalike.models.catalog import classical, convnets, huggingface

CARDS = (*classical.CARDS, *huggingface.CARDS, *convnets.CARDS)
