"""Templates, style and script of the leaderboard site."""
