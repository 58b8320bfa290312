"""Many rows: shards, files, a cluster, compression."""
