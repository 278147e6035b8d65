"""The leaderboard: records → tables → figures → pages → files. It imports no torch."""
