"""From a downloaded collection to splits in the cache: read in shards, joined, locked by checksums, packed."""
