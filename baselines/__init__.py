"""Methods of the papers; loaded by avbench through its entry points."""
