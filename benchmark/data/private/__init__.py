"""Images of one's own stay with their owner: ids become keyed hashes, only figures over many patients leave."""
