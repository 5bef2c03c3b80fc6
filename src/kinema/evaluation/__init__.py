"""Measures, judges, tables and reports: (model, data) to a flat dict and a page of pictures."""

from typing import runtime_checkable

from kinema.models.base import ClipModel

runtime_checkable(ClipModel)  # annotations are checked with isinstance while the tests run
