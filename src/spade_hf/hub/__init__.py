"""Integration with the Hub: registration with diffusers, model cards and repositories."""
