"""The fault bench: ports with faults as switches in their source, and what diagnosis finds."""
