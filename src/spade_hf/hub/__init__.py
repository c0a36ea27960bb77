"""What makes this library one of the Hub's: registration with diffusers, and cards of converted models."""
