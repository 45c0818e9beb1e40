"""Videos of any length: made in one pass, or in parts that are saved, resumed and joined without a visible seam."""
