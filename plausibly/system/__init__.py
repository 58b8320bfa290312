"""Files whole or not at all, locks, processes, threads, memory, randomness, versions, parts that arguments pick."""
