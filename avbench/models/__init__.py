"""Networks used by more than one method."""
