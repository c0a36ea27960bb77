"""Frozen ImageNet networks, whose features losses, discriminators and metrics compare. Users do not load them."""
