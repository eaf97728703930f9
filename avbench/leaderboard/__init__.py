"""What papers report and what avbench measured, side by side and never mixed."""
