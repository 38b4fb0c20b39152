"""What `make bench` runs: this worker beside the SDK's default and beside the limit."""
