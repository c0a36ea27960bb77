"""Forms in which data sets store masks: each module opens the rows, and names how their masks are decoded."""
