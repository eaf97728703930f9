"""Video to facetracks to shards, on Ray; loaded by avbench through its entry points."""
