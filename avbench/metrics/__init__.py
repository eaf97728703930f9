"""Metrics: pure functions on arrays, each with its conventions, units and source."""
