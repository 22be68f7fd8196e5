"""Two ports that really differed, diagnosed: no fault is planted here."""
