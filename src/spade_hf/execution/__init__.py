"""How a forward pass is run, apart from what it computes: in parts, by which product, with what kept for backward."""
