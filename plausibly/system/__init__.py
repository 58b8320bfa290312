"""Files whole or not at all, locks, processes, threads, randomness, versions, parts that arguments pick."""
