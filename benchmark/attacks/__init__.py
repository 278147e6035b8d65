"""The attacks: torchattacks behind an adapter, the two-class views, the controls."""
