"""Measures, judges, tables and reports: (model, data) to a flat dict and a page of pictures."""
