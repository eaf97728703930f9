"""The embedded corpus: drawn talking heads whose every truth is known."""
