"""Sound of any length: in one pass, or in parts that are kept, resumed and joined without a visible seam."""
