"""Images of the collections, and the phantoms: the only readers of image files."""
