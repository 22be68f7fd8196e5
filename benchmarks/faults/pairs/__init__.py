"""One folder a subject: a reference, an independent port of it, and the port's faults."""
