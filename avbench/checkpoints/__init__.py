"""The small checkpoints that avbench ships: safetensors, each with its provenance."""
