"""What crossing the C ABI costs: tapped and untapped runs, shared memory and pipes, ports."""
