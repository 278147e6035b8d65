"""How the code of a submission may be isolated, by name. Imports nothing, for the command line's sake."""

BUBBLEWRAP, NONE = "bubblewrap", "none"
CHOICES = ("auto", BUBBLEWRAP, NONE)
