"""What our engine costs, beside other attack codes that do the same work on the same model and images."""
