"""Forms that shard sets are exported to: LRS-style folders, plain Parquet, Hugging Face.

Each is an `avbench.exporting.Exporter` in the entry point group ``avbench.exporters``.
"""
