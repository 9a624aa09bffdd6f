"""Tasks built from a genome: windows on its elements, and negatives that touch none."""
