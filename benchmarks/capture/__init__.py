"""What capturing a forward pass costs, beside other people's ways of doing it."""
